"""Characteristic functions at random frequencies (Wang et al., "Dataset Distillation with Neural
Characteristic Function: A Minmax Perspective" (NCFM), CVPR 2025, https://arxiv.org/abs/2502.20653), without
the paper's network that chooses the frequencies."""

import functools

import torch
from torch import Tensor
from torch.nn.functional import normalize

from core.engine.seeds import generator

FREQUENCIES = 4096
WEIGHT = 300.0
LEAST = 1e-12
"""What a square root is taken of at least: its slope has no limit at 0."""


class Characteristic:
    """WEIGHT times the sum over classes of the mean over frequencies t of √((a² + p) / 2): of the two sides'
    characteristic functions Φ(t), a is the difference of absolute values, and p = 2 (|Φ| |Φ'| - Re Φ Φ'*)
    what their phases differ in.

    Φ(t) is the mean of exp(i t · f) over features f scaled to length 1. The frequencies are normal, the same
    in every iteration.
    """

    title = "Dataset Distillation with Neural Characteristic Function: A Minmax Perspective"
    link = "https://arxiv.org/abs/2502.20653"

    def sums(self, features_CNF: Tensor) -> Tensor:
        """Real parts, then imaginary ones: (C, 2 · FREQUENCIES)."""
        frequencies_FT = _frequencies(features_CNF.shape[2]).to(features_CNF)
        angles_CNT = normalize(features_CNF, dim=2) @ frequencies_FT
        return torch.cat([angles_CNT.cos().sum(dim=1), angles_CNT.sin().sum(dim=1)], dim=1)

    def distance(self, real_CS: Tensor, synthetic_CS: Tensor) -> Tensor:
        """0-dim."""
        (re_CT, im_CT), (other_re_CT, other_im_CT) = (
            torch.split(side_CS, FREQUENCIES, dim=1) for side_CS in (real_CS, synthetic_CS)
        )
        lengths = [
            (x.square() + y.square()).clamp(min=LEAST).sqrt()
            for x, y in ((re_CT, im_CT), (other_re_CT, other_im_CT))
        ]
        amplitude_CT = (lengths[0] - lengths[1]).square()
        phase_CT = 2 * (lengths[0] * lengths[1] - re_CT * other_re_CT - im_CT * other_im_CT)
        root_CT = ((amplitude_CT + phase_CT) / 2).clamp(min=LEAST).sqrt()
        summed: Tensor = root_CT.mean(dim=1).sum()
        return WEIGHT * summed


@functools.cache
def _frequencies(features: int) -> Tensor:
    """(features, FREQUENCIES), on the CPU."""
    return torch.randn(features, FREQUENCIES, generator=generator(0, 0, "frequencies"))
