"""Average pooling to a size that does not depend on the image's."""

import torch
from torch import Tensor, nn


class PoolToAtMost(nn.Module):
    """Average maps into `side` x `side` bins, those of AdaptiveAvgPool2d; a smaller axis stays as it is.

    Not AdaptiveAvgPool2d itself: its backward on CUDA is refused by torch.use_deterministic_algorithms(True),
    and it would enlarge smaller maps by repeating their pixels.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """NCHW, height and width at most `side`."""
        for axis in (2, 3):
            length = x_NCHW.shape[axis]
            if length > self.side:
                starts = [i * length // self.side for i in range(self.side)]
                ends = [-(-(i + 1) * length // self.side) for i in range(self.side)]
                bins = [
                    x_NCHW.narrow(axis, a, b - a).mean(dim=axis) for a, b in zip(starts, ends, strict=True)
                ]
                x_NCHW = torch.stack(bins, dim=axis)
        return x_NCHW
