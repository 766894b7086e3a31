"""Attention maps on the way to the embedding, and the embedding (Sajedi et al., "DataDAM: Efficient Dataset
Distillation with Attention Matching", ICCV 2023, https://arxiv.org/abs/2310.00093).

The paper takes a map at every activation; here one is taken behind each halving of the image.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

WEIGHT = 100.0
"""Of the squared differences of attention maps."""


class Attention:
    """The sum over classes of the squared differences of the mean features, and of WEIGHT times those of the
    mean attention maps: of each image and map, the absolute values summed over channels, scaled to length 1.
    """

    title = "DataDAM: Efficient Dataset Distillation with Attention Matching"
    link = "https://arxiv.org/abs/2310.00093"

    def features(self, maps: list[Tensor], embedding_NF: Tensor) -> Tensor:
        """Attention by pixel, map after map, then the embedding: (N, pixels + F)."""
        attention = [normalize(one_NCHW.abs().sum(dim=1).flatten(1), dim=1) for one_NCHW in maps]
        return torch.cat([*(WEIGHT**0.5 * one_NP for one_NP in attention), embedding_NF], dim=1)

    def sums(self, features_CNF: Tensor) -> Tensor:
        """Of the features as they are: (C, F)."""
        return features_CNF.sum(dim=1)

    def distance(self, real_CS: Tensor, synthetic_CS: Tensor) -> Tensor:
        """0-dim."""
        return (real_CS - synthetic_CS).square().sum()
