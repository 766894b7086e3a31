"""The poolings of networks are average pooling, also backwards."""

import pytest
import torch
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d

from core.engine.networks.pooling import AvgPool2x2, PoolToAtMost
from tests.unit.engine.problems import noise


@pytest.mark.parametrize("side", [1, 4, 5])
@pytest.mark.parametrize("size", [(4, 4), (5, 13), (6, 7), (16, 8)])
def test_pooling_is_adaptive_average_pooling_but_never_enlarges(side: int, size: tuple[int, int]) -> None:
    x_NCHW = noise(2, 3, *size).requires_grad_()
    ours, theirs = (
        PoolToAtMost(side)(x_NCHW),
        adaptive_avg_pool2d(x_NCHW, (min(side, size[0]), min(side, size[1]))),
    )
    assert torch.allclose(ours, theirs, atol=1e-6)
    weights = noise(*ours.shape)
    (gradient,) = torch.autograd.grad((ours * weights).sum(), x_NCHW)
    (expected,) = torch.autograd.grad((theirs * weights).sum(), x_NCHW)
    assert torch.allclose(gradient, expected, atol=1e-6)


@pytest.mark.parametrize("size", [(2, 2), (3, 8), (6, 7), (16, 9)])
def test_pooling_by_two_is_average_pooling(size: tuple[int, int]) -> None:
    x_NCHW = noise(2, 3, *size).requires_grad_()
    ours, theirs = AvgPool2x2()(x_NCHW), avg_pool2d(x_NCHW, 2)
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-6)
    weights = noise(*ours.shape)
    (gradient,) = torch.autograd.grad((ours * weights).sum(), x_NCHW)
    (expected,) = torch.autograd.grad((theirs * weights).sum(), x_NCHW)
    assert torch.allclose(gradient, expected, rtol=0, atol=1e-6)
