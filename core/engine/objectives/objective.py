"""What an objective is: what of the two sides' images is brought together, and how far apart it is."""

from typing import Protocol

from torch import Tensor

from core.engine.lookup import load
from core.engine.objectives import OBJECTIVES


class Objective(Protocol):
    """A statistic of each image's features, and a distance between its class means.

    matching.py embeds in as many passes as memory asks for, so an objective knows nothing of batches: a
    class's part of the distance must depend on no other class's means.

    title, link: of the paper that it is from.
    """

    title: str
    link: str

    def statistic(self, features_NF: Tensor) -> Tensor:
        """Of each image by itself: (N, S), differentiable."""
        ...

    def distance(self, real_CS: Tensor, synthetic_CS: Tensor) -> Tensor:
        """From the means over each class's images: 0-dim, summed over classes, differentiable in both."""
        ...


def load_objective(name: str) -> Objective:
    """The objective of this name."""
    loaded: Objective = load(OBJECTIVES[name])()
    return loaded
