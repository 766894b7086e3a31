"""Images stored as they are, pixel by pixel."""

from collections.abc import Mapping

import torch
from torch import Tensor

from core.engine.config import CondenseConfig
from core.engine.images import LabelledImages
from core.engine.sampling import sample


class Pixels:
    """images_NCHW: the images themselves, ipc for each class, at the real ones' size."""

    parameters: Mapping[str, str] = {"images_NCHW": "velocity_NCHW"}

    def shapes(self, real: LabelledImages, ipc: int) -> dict[str, tuple[int, ...]]:
        return {"images_NCHW": (len(real.classes) * ipc, real.channels, *real.size)}

    def initial(
        self,
        real: LabelledImages,
        config: CondenseConfig,
        chance: torch.Generator,
        device: torch.device | str,
    ) -> dict[str, Tensor]:
        """Random real images of each class (repeated if a class has fewer than ipc), or normal noise."""
        if config.init == "real":
            chosen = [sample(real.indices_by_class[c], config.ipc, chance) for c in real.classes]
            return {"images_NCHW": real.normalised(torch.cat(chosen), device)}
        shapes = self.shapes(real, config.ipc)
        return {"images_NCHW": torch.randn(shapes["images_NCHW"], generator=chance).to(device)}

    def decode(self, tensors: Mapping[str, Tensor]) -> Tensor:
        return tensors["images_NCHW"]
