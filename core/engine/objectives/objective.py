"""What an objective is: what of the two sides' images is brought together, and how far apart it is."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from core.engine.lookup import load
from core.engine.objectives import OBJECTIVES


@runtime_checkable
class OfMaps(Protocol):
    """What an objective has besides that does not look at the embedding alone."""

    def features(self, maps: list[Tensor], embedding_NF: Tensor) -> Tensor:
        """Of each image, from its maps on the way (networks/stages.py) and its embedding: (N, F)."""
        ...


class Objective(Protocol):
    """A statistic of each image's features, and a distance between its class means.

    matching.py embeds in as many passes as memory asks for, so an objective knows nothing of batches: a
    class's part of the distance must depend on no other class's means.

    title, link: of the paper that it is from. One that looks at maps is `OfMaps` as well.
    """

    title: str
    link: str

    def sums(self, features_CNF: Tensor) -> Tensor:
        """Of each class, the statistic summed over its N images: (C, S), differentiable.

        Each image's part depends on its own features alone, so that sums of parts of a class add up.
        """
        ...

    def distance(self, real_CS: Tensor, synthetic_CS: Tensor) -> Tensor:
        """From the means over each class's images: 0-dim, summed over classes, differentiable in both."""
        ...


def load_objective(name: str) -> Objective:
    """The objective of this name."""
    loaded: Objective = load(OBJECTIVES[name])()
    return loaded
