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

    def __init__(self, real: LabelledImages, config: CondenseConfig) -> None: ...

    def shapes(self) -> dict[str, Shape]:
        """Of each parameter."""
        ...

    def initial(self, chance: torch.Generator, device: torch.device | str) -> dict[str, Tensor]:
        """The parameters before the first iteration.

        Args:
            chance: on the CPU, the only source of randomness.
        """
        ...

    def stored(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """The images as they are stored, NCHW float32, normalised: ipc for each class, class-major."""
        ...

    def clamped(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The parameters, so changed that no stored pixel lies outside [0, 1]."""
        ...

    def decode(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """The images that are trained on, NCHW float32, normalised: differentiable in the parameters.

        factor² for each stored one, tile-major: of all stored images the first, then of all the second, …
        The same for the same tensors: nothing here is random.
        """
        ...


def load_form(real: LabelledImages, config: CondenseConfig) -> Form:
    """The form that the configuration names, for this set."""
    loaded: type[Form] = load(FORMS[config.form].path)
    return loaded(real, config)


def class_major(images_NCHW: Tensor, classes: int, tiles: int) -> Tensor:
    """Decoded images, which come tile by tile, class by class instead: what `synthetic_labels` has labels of.

    Within a class they are still tile-major. With one tile for each stored image nothing changes.
    """
    by_tile = images_NCHW.view(tiles, classes, -1, *images_NCHW.shape[1:])
    return by_tile.transpose(0, 1).reshape(images_NCHW.shape)
