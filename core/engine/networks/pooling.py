"""Average pooling: by two, and to a size that does not depend on the image's."""

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d


class AvgPool2x2(nn.Module):
    """AvgPool2d(2), to rounding: each 2x2 square becomes its mean, an odd last row or column is dropped.

    torch's own loops over single pixels on a CPU, and took a fifth of a condensation; adding the rows in
    pairs, then the columns, is about four times as fast forward and one and a half times backward.
    """

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """NCHW, height and width halved and rounded down."""
        if x_NCHW.device.type != "cpu":
            return avg_pool2d(x_NCHW, 2)
        count, channels, height, width = x_NCHW.shape
        height, width = height // 2, width // 2
        even_NCHW = x_NCHW[:, :, : 2 * height, : 2 * width]
        # unbind, not indexing: its backward stacks the two gradients instead of adding two padded ones.
        upper, lower = even_NCHW.view(count, channels, height, 2, 2 * width).unbind(3)
        left, right = (upper + lower).view(count, channels, height, width, 2).unbind(4)
        mean_NCHW: Tensor = (left + right) * 0.25
        return mean_NCHW


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
