"""Bilinear resampling under an affine map, out of gathers.

torch's grid_sample has no deterministic backward on CUDA. A gather has one under
torch.use_deterministic_algorithms(True).
"""

import torch
from torch import Tensor


def affine_resample(x_NCHW: Tensor, matrix_P22: Tensor) -> Tensor:
    """What affine_grid and grid_sample(align_corners=True) give: bilinear, zero outside, no translation.

    Args:
        x_NCHW: images, differentiable.
        matrix_P22: one map for each image, or one for all (P = N or 1): takes an output point (x, y), each in
            [-1, 1] from the first pixel's centre to the last's, to the input point that is read there.

    Returns:
        NCHW.
    """
    count, channels, height, width = x_NCHW.shape
    column_W = torch.linspace(-1, 1, width, dtype=x_NCHW.dtype, device=x_NCHW.device)
    row_H = torch.linspace(-1, 1, height, dtype=x_NCHW.dtype, device=x_NCHW.device)
    xx, xy, yx, yy = matrix_P22.flatten(1)[:, :, None, None].unbind(1)
    x_PHW = (xx * column_W + xy * row_H[:, None] + 1) * ((width - 1) / 2)
    y_PHW = (yx * column_W + yy * row_H[:, None] + 1) * ((height - 1) / 2)
    left_PHW, top_PHW = x_PHW.floor(), y_PHW.floor()

    flat_NCL = x_NCHW.flatten(2)
    result = torch.zeros_like(flat_NCL)
    for tap_y in (top_PHW, top_PHW + 1):
        for tap_x in (left_PHW, left_PHW + 1):
            inside = (tap_x >= 0) & (tap_x < width) & (tap_y >= 0) & (tap_y < height)
            weight_PHW = (1 - (x_PHW - tap_x).abs()) * (1 - (y_PHW - tap_y).abs()) * inside
            index_PHW = tap_y.clamp(0, height - 1).long() * width + tap_x.clamp(0, width - 1).long()
            index_NCL = index_PHW.flatten(1)[:, None].expand(count, channels, -1)
            result = result + flat_NCL.gather(2, index_NCL) * weight_PHW.flatten(1)[:, None]
    return result.view(x_NCHW.shape)
