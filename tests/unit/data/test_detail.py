"""What a collage of 2 × 2 would lose of images, against torch's own resizing."""

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d, interpolate

from core.data.canonical.detail import lost_by_halving


@pytest.mark.parametrize(("height", "width", "channels"), [(16, 16, 3), (17, 20, 1), (24, 31, 4)])
def test_it_is_what_shrinking_and_enlarging_loses(height: int, width: int, channels: int) -> None:
    images_NHWC = np.random.default_rng(0).integers(0, 256, (20, height, width, channels), dtype=np.uint8)
    x = torch.from_numpy(images_NHWC).permute(0, 3, 1, 2).double()[:, :, : height // 2 * 2, : width // 2 * 2]
    again = interpolate(avg_pool2d(x, 2), scale_factor=2, mode="bilinear", align_corners=False)
    within = (x - x.mean(dim=(2, 3), keepdim=True)).square().mean()
    expected = float((again - x).square().mean() / within)
    assert lost_by_halving(images_NHWC) == pytest.approx(expected, rel=1e-5)


def test_smooth_images_lose_little_fine_ones_all_and_plain_ones_nothing() -> None:
    ramp = np.broadcast_to(np.arange(0, 256, 8, dtype=np.uint8)[None, :, None, None], (4, 32, 32, 1))
    board = np.broadcast_to(
        (np.indices((32, 32)).sum(axis=0) % 2 * 255).astype(np.uint8)[None, :, :, None], (4, 32, 32, 1)
    )
    assert lost_by_halving(ramp) < 0.01
    assert lost_by_halving(board) == pytest.approx(1)
    assert lost_by_halving(np.full((4, 32, 32, 3), 9, np.uint8)) == 0
