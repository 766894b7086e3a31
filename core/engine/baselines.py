"""Selections of real images that a condensed set is compared with."""

from dataclasses import dataclass

import torch
from torch import Tensor

from core.engine.images import LabelledImages
from core.engine.sampling import sample
from core.engine.seeds import generator


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Indices into the real set, class-major, ipc for each class that has images.

    `repeated_classes`: those smaller than ipc, drawn with replacement.
    """

    indices_N: Tensor
    repeated_classes: tuple[int, ...]


def random_selection(real: LabelledImages, ipc: int, seed: int) -> Selection:
    """`ipc` random images of each class; its labels are `condense.synthetic_labels(real, ipc)`."""
    chance = generator(seed, 0, "random selection")
    chosen = [sample(real.indices_by_class[c], ipc, chance) for c in real.classes]
    small = tuple(c for c in real.classes if len(real.indices_by_class[c]) < ipc)
    return Selection(indices_N=torch.cat(chosen), repeated_classes=small)
