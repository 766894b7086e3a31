"""Means and covariances (Li et al., "Diversified Semantic Distribution Matching for Dataset Distillation"
(DSDM), ACM MM 2024)."""

import math

import torch
from torch import Tensor

WEIGHT = 50.0
"""Of the squared distance of covariances, divided by the number of features: the paper's 50 / 2048."""


class Covariance:
    """The sum over classes of the squared distance of mean features, and of that of their covariances, times
    WEIGHT / F.

    The covariance divides by the number of images, so that a single one has the covariance 0. It takes F² + F
    numbers a class: 16 MiB of ConvNet-3-128 at 32 px, for each class of the real side at once.

    Example: of the features 1 and -1 on one side and 0 twice on the other, the means are the same, the
    variances 1 and 0: the distance is 50.
    """

    title = "Diversified Semantic Distribution Matching for Dataset Distillation"
    link = "https://openreview.net/forum?id=Karxz3LH0u"

    def sums(self, features_CNF: Tensor) -> Tensor:
        """Features, then their products by pairs: (C, F + F²)."""
        second_CFF = features_CNF.transpose(1, 2) @ features_CNF
        first_CF = features_CNF.sum(dim=1)
        return torch.cat([first_CF, second_CFF.flatten(1)], dim=1)

    def distance(self, real_CS: Tensor, synthetic_CS: Tensor) -> Tensor:
        """0-dim."""
        features = _features(real_CS.shape[1])
        (real_CF, real_CFF), (synthetic_CF, synthetic_CFF) = (
            _moments(side_CS, features) for side_CS in (real_CS, synthetic_CS)
        )
        apart: Tensor = (real_CF - synthetic_CF).square().sum()
        spread: Tensor = (real_CFF - synthetic_CFF).square().sum()
        return apart + WEIGHT / features * spread


def _moments(means_CS: Tensor, features: int) -> tuple[Tensor, Tensor]:
    """Means (C, F) and covariances (C, F, F)."""
    mean_CF = means_CS[:, :features]
    second_CFF = means_CS[:, features:].reshape(-1, features, features)
    return mean_CF, second_CFF - mean_CF[:, :, None] * mean_CF[:, None]


def _features(length: int) -> int:
    """F, of F + F² numbers."""
    return math.isqrt(length)
