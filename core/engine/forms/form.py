"""What a form is: how synthetic images are stored while they are optimised, and published."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from core.engine.config import CondenseConfig
from core.engine.forms import FORMS
from core.engine.images import LabelledImages
from core.engine.lookup import load

Shape = tuple[int, ...]


class Form(Protocol):
    """Named tensors, and how they become images.

    Every tensor is float32 and class-major: its first axis has equally many rows for each class that has real
    images, in their order.

    parameters: the names of the tensors that are optimised, each with the name of its momentum's.
    """

    parameters: Mapping[str, str]

    def shapes(self, real: LabelledImages, ipc: int) -> dict[str, Shape]:
        """Of each parameter, for `ipc` stored images per class."""
        ...

    def initial(
        self,
        real: LabelledImages,
        config: CondenseConfig,
        chance: torch.Generator,
        device: torch.device | str,
    ) -> dict[str, Tensor]:
        """The parameters before the first iteration.

        Args:
            chance: on the CPU, the only source of randomness.
        """
        ...

    def decode(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """The images, NCHW float32, normalised, unclamped: differentiable in the parameters.

        Class-major, as many per stored image as the table of forms says. The same for the same tensors:
        nothing here is random.
        """
        ...


def load_form(name: str) -> Form:
    """The form of this name."""
    loaded: Form = load(FORMS[name].path)()
    return loaded
