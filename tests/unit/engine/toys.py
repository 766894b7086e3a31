"""An objective and a form that only tests know: their rooms are open to others than those that there are."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from core.engine.config import CondenseConfig
from core.engine.forms import FORMS, FormEntry
from core.engine.images import LabelledImages
from core.engine.objectives import OBJECTIVES


class Moments:
    """First and second moments of the features, by the length of their difference: not its square."""

    title = "A toy"
    link = ""

    def sums(self, features_CNF: Tensor) -> Tensor:
        return torch.cat([features_CNF, features_CNF.square()], dim=2).sum(dim=1)

    def distance(self, real_CS: Tensor, synthetic_CS: Tensor) -> Tensor:
        lengths_C: Tensor = torch.linalg.vector_norm(real_CS - synthetic_CS, dim=1)
        return lengths_C.sum()


class Halves:
    """Images at half the size, and a brightness each; each turns into four, mirrored in every way."""

    parameters: Mapping[str, str] = {"small_NCHW": "small_velocity_NCHW", "shift_N": "shift_velocity_N"}

    def __init__(self, real: LabelledImages, config: CondenseConfig) -> None:
        self._real, self._config = real, config

    def shapes(self) -> dict[str, tuple[int, ...]]:
        count, (height, width) = len(self._real.classes) * self._config.ipc, self._real.size
        return {"small_NCHW": (count, self._real.channels, height // 2, width // 2), "shift_N": (count,)}

    def initial(self, chance: torch.Generator, device: torch.device | str) -> dict[str, Tensor]:
        shapes = self.shapes()
        return {name: torch.randn(shape, generator=chance).to(device) for name, shape in shapes.items()}

    def stored(self, tensors: Mapping[str, Tensor]) -> Tensor:
        return interpolate(tensors["small_NCHW"], scale_factor=2) + tensors["shift_N"][:, None, None, None]

    def clamped(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensors[name].clamp(-1, 1) for name in self.parameters}

    def decode(self, tensors: Mapping[str, Tensor]) -> Tensor:
        whole_NCHW = interpolate(tensors["small_NCHW"], scale_factor=2, mode="bilinear")
        whole_NCHW = whole_NCHW + tensors["shift_N"][:, None, None, None]
        return torch.cat([whole_NCHW, whole_NCHW.flip(3), whole_NCHW.flip(2), whole_NCHW.flip(2, 3)])


def let_in(patch: pytest.MonkeyPatch) -> None:
    """Each by the one line that a table asks for."""
    patch.setitem(OBJECTIVES, "moments", f"{__name__}:Moments")
    patch.setitem(FORMS, "halves", FormEntry(path=f"{__name__}:Halves", factor=2))
