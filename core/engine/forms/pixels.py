"""Images stored as they are, pixel by pixel."""

from collections.abc import Mapping

import torch
from torch import Tensor

from core.engine.config import CondenseConfig
from core.engine.images import LabelledImages, clamped
from core.engine.sampling import sample


class Pixels:
    """images_NCHW: the images themselves, ipc for each class, at the real ones' size."""

    parameters: Mapping[str, str] = {"images_NCHW": "velocity_NCHW"}

    def __init__(self, real: LabelledImages, config: CondenseConfig) -> None:
        self._real, self._config = real, config

    def shapes(self) -> dict[str, tuple[int, ...]]:
        count = len(self._real.classes) * self._config.ipc
        return {"images_NCHW": (count, self._real.channels, *self._real.size)}

    def initial(self, chance: torch.Generator, device: torch.device | str) -> dict[str, Tensor]:
        """Random real images of each class (repeated if a class has fewer than ipc), or normal noise."""
        real, ipc = self._real, self._config.ipc
        if self._config.init == "real":
            chosen = [sample(real.indices_by_class[c], ipc, chance) for c in real.classes]
            return {"images_NCHW": real.normalised(torch.cat(chosen), device)}
        return {"images_NCHW": torch.randn(self.shapes()["images_NCHW"], generator=chance).to(device)}

    def stored(self, tensors: Mapping[str, Tensor]) -> Tensor:
        return tensors["images_NCHW"]

    def clamped(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"images_NCHW": clamped(tensors["images_NCHW"], self._real.mean, self._real.std)}

    def decode(self, tensors: Mapping[str, Tensor]) -> Tensor:
        return tensors["images_NCHW"]
