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

    def statistic(self, features_NF: Tensor) -> Tensor:
        return torch.cat([features_NF, features_NF.square()], dim=1)

    def distance(self, real_CS: Tensor, synthetic_CS: Tensor) -> Tensor:
        lengths_C: Tensor = torch.linalg.vector_norm(real_CS - synthetic_CS, dim=1)
        return lengths_C.sum()


class Halves:
    """Images at half the size, and a brightness each; each turns into two, one of them mirrored."""

    parameters: Mapping[str, str] = {"small_NCHW": "small_velocity_NCHW", "shift_N": "shift_velocity_N"}

    def shapes(self, real: LabelledImages, ipc: int) -> dict[str, tuple[int, ...]]:
        count, (height, width) = len(real.classes) * ipc, real.size
        return {"small_NCHW": (count, real.channels, height // 2, width // 2), "shift_N": (count,)}

    def initial(
        self,
        real: LabelledImages,
        config: CondenseConfig,
        chance: torch.Generator,
        device: torch.device | str,
    ) -> dict[str, Tensor]:
        shapes = self.shapes(real, config.ipc)
        return {name: torch.randn(shape, generator=chance).to(device) for name, shape in shapes.items()}

    def decode(self, tensors: Mapping[str, Tensor]) -> Tensor:
        whole_NCHW = interpolate(tensors["small_NCHW"], scale_factor=2, mode="bilinear")
        whole_NCHW = whole_NCHW + tensors["shift_N"][:, None, None, None]
        return torch.stack([whole_NCHW, whole_NCHW.flip(3)], dim=1).flatten(0, 1)


def let_in(patch: pytest.MonkeyPatch) -> None:
    """Each by the one line that a table asks for."""
    patch.setitem(OBJECTIVES, "moments", f"{__name__}:Moments")
    patch.setitem(FORMS, "halves", FormEntry(path=f"{__name__}:Halves", decoded=2))
