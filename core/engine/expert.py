"""A trained network's judgement of the synthetic images, beside what is matched.

Zhang et al., "DANCE: Dual-View Distribution Alignment for Dataset Condensation", IJCAI 2024,
https://arxiv.org/abs/2406.01063 (expert-driven calibration); here in the same step, on the same augmented
images, as in TGDD.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cross_entropy

from core.engine.networks.network import Embedder


@dataclass(frozen=True, kw_only=True)
class Expert:
    """network: a trained one. weight: of each class's mean cross-entropy. classes_C: labels, int64."""

    network: Embedder
    weight: float
    classes_C: Tensor

    def of(self, first: int, classes: int) -> "Expert":
        """The same, for so many of its classes from the `first` on."""
        chosen_C = self.classes_C[first : first + classes]
        return Expert(network=self.network, weight=self.weight, classes_C=chosen_C)

    def loss(self, x_NCHW: Tensor, matcher: Embedder, embedding_NF: Tensor, per_class: int) -> Tensor:
        """0-dim: summed over classes, the weighted mean cross-entropy of a class's `per_class` images.

        Args:
            x_NCHW: augmented, class-major: of all classes the same number, which may be fewer than per_class.
            embedding_NF: what `matcher` makes of them, which is not done twice where it is the expert itself.
        """
        own_NF = embedding_NF if self.network is matcher else self.network.embed(x_NCHW)
        labels_N = self.classes_C.repeat_interleave(len(x_NCHW) // len(self.classes_C))
        summed = cross_entropy(self.network.classify(own_NF), labels_N, reduction="sum")
        return summed * (self.weight / per_class)
