"""Distribution matching: the mean feature of each class (Zhao & Bilen, arXiv 2110.04181, equation 6)."""

from torch import Tensor


class Mean:
    """Sum over classes and features of (mean real feature - mean synthetic feature)².

    A sum, not a mean: the paper's learning rate is chosen for it.

    Example: of a class with mean features (1, 2) and (1, 4) on the two sides, the distance is 4.
    """

    title = "Dataset Condensation with Distribution Matching"
    link = "https://arxiv.org/abs/2110.04181"

    def sums(self, features_CNF: Tensor) -> Tensor:
        """Of the features as they are: (C, F)."""
        return features_CNF.sum(dim=1)

    def distance(self, real_CS: Tensor, synthetic_CS: Tensor) -> Tensor:
        """0-dim."""
        return (real_CS - synthetic_CS).square().sum()
