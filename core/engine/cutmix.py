"""CutMix: a rectangle of each training image is another's, and so is that share of its label.

Yun et al., ICCV 2019, https://arxiv.org/abs/1905.04899. One rectangle and one shuffle for a whole batch.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


@dataclass(frozen=True, kw_only=True)
class CutMix:
    """rows, columns: of the rectangle. partners_B: for each image the one that it is filled from, int64.

    share: of the pixels, what the rectangle covers: the weight of the partner's label.
    """

    rows: slice
    columns: slice
    partners_B: Tensor
    share: float

    def mixed(self, x_BCHW: Tensor) -> Tensor:
        """New images; those given stay as they are."""
        mixed_BCHW = x_BCHW.clone()
        partners_B = self.partners_B.to(x_BCHW.device, non_blocking=True)
        mixed_BCHW[:, :, self.rows, self.columns] = x_BCHW[partners_B][:, :, self.rows, self.columns]
        return mixed_BCHW


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What a batch is to be answered: labels_B, and with the weight `share` partners_B instead."""

    labels_B: Tensor
    partners_B: Tensor | None = None
    share: float = 0.0

    def split(self, size: int) -> list["Targets"]:
        labels = torch.split(self.labels_B, size)
        if self.partners_B is None:
            return [Targets(labels_B=one) for one in labels]
        pairs = zip(labels, torch.split(self.partners_B, size), strict=True)
        return [Targets(labels_B=own, partners_B=other, share=self.share) for own, other in pairs]

    def loss(self, logits_BL: Tensor) -> Tensor:
        """0-dim: the batch's mean cross-entropy."""
        own = cross_entropy(logits_BL, self.labels_B)
        if self.partners_B is None:
            return own
        return (1 - self.share) * own + self.share * cross_entropy(logits_BL, self.partners_B)


def draw_cutmix(
    probability: float, chance: torch.Generator, size: tuple[int, int], count: int
) -> CutMix | None:
    """One for a batch of `count` images, or None, so often that a batch is mixed with this probability.

    The rectangle has the images' proportions; its area, before it is cut off at their edges, is uniform in
    [0, 1) of theirs, which is a share λ ~ Beta(1, 1) of the image that is kept; its centre is uniform.

    Args:
        chance: on the CPU, the only source of randomness.
        size: height and width.
    """
    if not probability or float(torch.rand(1, generator=chance)) >= probability:
        return None
    ratio = (1 - float(torch.rand(1, generator=chance))) ** 0.5
    spans = []
    for side in size:
        cut, centre = int(side * ratio), int(torch.randint(side, (1,), generator=chance))
        spans.append(slice(max(centre - cut // 2, 0), min(centre - cut // 2 + cut, side)))
    rows, columns = spans
    covered = (rows.stop - rows.start) * (columns.stop - columns.start)
    return CutMix(
        rows=rows, columns=columns, share=covered / (size[0] * size[1]),
        partners_B=torch.randperm(count, generator=chance),
    )  # fmt: skip
