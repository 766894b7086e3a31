"""The compiled blocks of ConvNet against torch's own, in float64."""

import copy
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from core.engine.config import NetworkConfig
from core.engine.cpu import blocks
from core.engine.cpu.library import library
from core.engine.networks.build import build
from core.engine.networks.convnet import ConvNet
from core.engine.networks.stages import stages
from core.engine.seeds import generator

pytestmark = pytest.mark.skipif(library() is None, reason="no C compiler here")

SHAPES = [
    # channels, height, width, width of the network, depth
    (3, 32, 32, 128, 3),
    (1, 28, 28, 64, 3),
    (4, 17, 22, 32, 2),
    (3, 64, 64, 32, 4),
    (1, 16, 16, 32, 4),
]


def convnet(channels: int, size: tuple[int, int], width: int, depth: int) -> ConvNet:
    """With affine parameters as if trained."""
    chance = generator(0, 0, "network")
    network = build(NetworkConfig(width=width, depth=depth), channels, size, 10, chance)
    assert isinstance(network, ConvNet)
    for layer in network.modules():
        if isinstance(layer, nn.GroupNorm):
            nn.init.uniform_(layer.weight, 0.5, 1.5, generator=chance)
            nn.init.uniform_(layer.bias, -0.5, 0.5, generator=chance)
    return network


def parameters(network: ConvNet) -> list[Tensor]:
    """Those with an effect: a bias before an instance norm has none."""
    found: list[Tensor] = []
    for layer in network.blocks:
        if isinstance(layer, nn.Conv2d):
            found.append(layer.weight)
        elif isinstance(layer, nn.GroupNorm):
            found += [layer.weight, layer.bias]
    return found


def error(ours: Tensor, exact: Tensor) -> float:
    exact = exact.detach()
    return float((ours.detach().double() - exact).norm() / exact.norm())


@pytest.mark.parametrize(("channels", "height", "wide", "width", "depth"), SHAPES)
def test_features_and_all_gradients_equal_the_plain_blocks(
    channels: int, height: int, wide: int, width: int, depth: int
) -> None:
    network = convnet(channels, (height, wide), width, depth)
    exact = copy.deepcopy(network).double()
    chance = generator(1, 0, "images")
    x_NCHW = torch.randn(13, channels, height, wide, generator=chance)
    target_NF = torch.randn(13, network.features, generator=chance)
    assert blocks.usable(width, x_NCHW)

    leaf, exact_leaf = x_NCHW.clone().requires_grad_(), x_NCHW.double().requires_grad_()
    features_NF = network.embed(leaf)
    exact_NF = exact.blocks(exact_leaf).flatten(1)
    assert error(features_NF, exact_NF) < 3e-6

    ours = torch.autograd.grad((features_NF - target_NF).square().sum(), [leaf, *parameters(network)])
    plain = torch.autograd.grad((exact_NF - target_NF).square().sum(), [exact_leaf, *parameters(exact)])
    for mine, other in zip(ours, plain, strict=True):
        assert error(mine, other) < 1e-5


def test_only_the_gradients_that_are_wanted() -> None:
    x_NCHW = torch.randn(3, 1, 16, 16, generator=generator(1, 0, "images"))
    network = convnet(1, (16, 16), 32, 2)
    (whole,) = torch.autograd.grad(network.embed(x_NCHW.requires_grad_()).square().sum(), x_NCHW)
    network.requires_grad_(False)
    (pixels,) = torch.autograd.grad(network.embed(x_NCHW).square().sum(), x_NCHW)
    assert torch.equal(whole, pixels)
    assert not network.embed(x_NCHW.detach()).requires_grad


def test_an_image_is_embedded_alike_in_any_company_and_by_any_number_of_threads() -> None:
    network = convnet(3, (32, 32), 32, 3).requires_grad_(False)
    x_NCHW = torch.randn(23, 3, 32, 32, generator=generator(1, 0, "images"))
    together = network.embed(x_NCHW)
    assert torch.equal(network.embed(x_NCHW[5:6]), together[5:6])
    before = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            assert torch.equal(network.embed(x_NCHW), together)
    finally:
        torch.set_num_threads(before)


def test_a_changed_weight_is_seen() -> None:
    network = convnet(1, (16, 16), 32, 2).requires_grad_(False)
    x_NCHW = torch.randn(2, 1, 16, 16, generator=generator(1, 0, "images"))
    before = network.embed(x_NCHW)
    convolution = network.blocks[-4]
    assert isinstance(convolution, nn.Conv2d)
    convolution.weight.mul_(-1)
    assert not torch.allclose(network.embed(x_NCHW), before)
    assert error(network.embed(x_NCHW), network.blocks(x_NCHW).flatten(1).double()) < 1e-5


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
def test_what_is_not_finite_stays_so(wrong: float) -> None:
    network = convnet(1, (16, 16), 32, 2).requires_grad_(False)
    x_NCHW = torch.zeros(2, 1, 16, 16)
    x_NCHW[1, 0, 3, 3] = wrong
    features_NF = network.embed(x_NCHW)
    assert features_NF[0].isfinite().all()
    assert features_NF[1].isnan().any()


def test_other_types_widths_and_transforms_take_the_plain_blocks() -> None:
    x_NCHW = torch.zeros(2, 1, 16, 16)
    assert not blocks.usable(32, x_NCHW.double())
    assert not blocks.usable(33, x_NCHW)
    assert not blocks.usable(32, x_NCHW.to("meta"))
    network = convnet(1, (16, 16), 32, 2).requires_grad_(False)
    # vmap has no rule for it, and would refuse it by an error.
    assert torch.func.vmap(lambda x: network.embed(x[None]))(x_NCHW).shape == (2, 1, network.features)


def test_without_a_compiler_the_plain_blocks_do_it(tmp_path: Path) -> None:
    assert shutil.which("cc", path=str(tmp_path)) is None
    program = (
        "import torch; from core.engine.cpu.library import convnet_blocks; "
        "from core.engine.config import NetworkConfig; from core.engine.networks.build import build; "
        "network = build(NetworkConfig(width=32), 1, (16, 16), 2, torch.Generator()); "
        "print(convnet_blocks(torch.device('cpu')), tuple(network.embed(torch.zeros(1, 1, 16, 16)).shape))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("torch (1, 512)\n", "")


@pytest.mark.parametrize(("channels", "height", "wide", "width", "depth"), SHAPES)
def test_the_maps_on_the_way_are_torchs(
    channels: int, height: int, wide: int, width: int, depth: int
) -> None:
    network = convnet(channels, (height, wide), width, depth)
    x_NCHW = torch.randn(3, channels, height, wide, generator=generator(0, 1, "images"))
    found, embedding_NF = network.stages(x_NCHW)
    expected, plain_NF = stages(network.blocks, x_NCHW)
    assert len(found) == len(expected) == depth - 1
    for one, other in zip([*found, embedding_NF], [*expected, plain_NF], strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-4)
    assert torch.equal(embedding_NF, network.embed(x_NCHW))
