import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from core.engine.config import ACTIVATIONS, POOLINGS, NetworkConfig
from core.engine.networks import NORMS
from core.engine.networks.build import build
from core.engine.networks.convnet import ConvNet
from core.engine.networks.initialise import initialise
from core.engine.seeds import generator

ROOT = Path(__file__).parents[3]


def test_the_papers_network_has_its_parameters_and_features() -> None:
    network = build(NetworkConfig(), 3, (32, 32), 10, generator(0, 0, "test"))
    assert sum(p.numel() for p in network.parameters()) == 320_010
    assert network.embed(torch.zeros(2, 3, 32, 32)).shape == (2, 2048)
    assert network.training


@pytest.mark.parametrize(
    ("channels", "side", "depth", "map_side"), [(1, 28, 3, 3), (3, 64, 4, 4), (3, 128, 5, 4)]
)
@pytest.mark.parametrize("width", [32, 128, 256])
def test_parameters_at_other_sizes(channels: int, side: int, depth: int, map_side: int, width: int) -> None:
    network = build(NetworkConfig(width=width), channels, (side, side), 10, generator(0, 0, "test"))
    first, further, norm = 9 * channels * width + width, 9 * width * width + width, 2 * width
    linear = width * map_side**2 * 10 + 10
    expected = first + (depth - 1) * further + depth * norm + linear
    assert sum(p.numel() for p in network.parameters()) == expected


@pytest.mark.parametrize(
    ("size", "features"),
    [((16, 16), 8 * 16), ((28, 28), 8 * 9), ((32, 32), 8 * 16), ((64, 64), 8 * 16), ((28, 40), 8 * 15)],
)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_embedding_sizes(size: tuple[int, int], features: int, channels: int) -> None:
    network = build(NetworkConfig(width=8), channels, size, 7, generator(0, 0, "test"))
    x_NCHW = torch.zeros(2, channels, *size)
    assert network.embed(x_NCHW).shape == (2, features)
    assert network(x_NCHW).shape == (2, 7)


@pytest.mark.parametrize(
    ("norm", "activation", "pooling"), list(itertools.product(NORMS, ACTIVATIONS, POOLINGS))
)
def test_every_variant_embeds_and_carries_gradient(norm: str, activation: str, pooling: str) -> None:
    config = NetworkConfig(width=4, depth=2, norm=norm, activation=activation, pooling=pooling)
    network = build(config, 1, (17, 19), 3, generator(0, 0, "test")).requires_grad_(False)
    x_NCHW = torch.randn(3, 1, 17, 19, generator=generator(1, 0, "test"), requires_grad=True)
    features_NF = network.embed(x_NCHW)
    assert features_NF.shape == (3, network.features)
    (gradient_NCHW,) = torch.autograd.grad(features_NF.square().sum(), x_NCHW)
    assert gradient_NCHW.isfinite().all() and gradient_NCHW.abs().sum() > 0
    assert network.couples_samples == (norm == "batch")


@pytest.mark.parametrize("norm", ["none", "layer", "instance", "group", "batch"])
def test_couples_samples_tells_the_truth(norm: str) -> None:
    network = build(NetworkConfig(width=8, norm=norm), 1, (16, 16), 2, generator(0, 0, "test"))
    x_NCHW = torch.randn(4, 1, 16, 16, generator=generator(1, 0, "test"))
    alone = torch.allclose(network.embed(x_NCHW[:2]), network.embed(x_NCHW)[:2], rtol=0, atol=1e-5)
    assert alone != network.couples_samples


def test_initialisation_has_pytorchs_distributions() -> None:
    network = build(NetworkConfig(width=64), 3, (32, 32), 10, generator(3, 0, "test"))
    assert isinstance(network, ConvNet)
    conv, linear = nn.Conv2d(64, 64, 3), nn.Linear(network.features, 10)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    pairs = (
        (convolutions[1].weight, convolutions[1].bias, conv.weight),
        (network.classifier.weight, network.classifier.bias, linear.weight),
    )
    for weight, bias, theirs in pairs:
        assert bias is not None
        bound = theirs[0].numel() ** -0.5
        assert bound * 0.98 < float(weight.detach().abs().max()) <= bound
        assert bound * 0.5 < float(bias.detach().abs().max()) <= bound
        assert float(weight.detach().std() / theirs.detach().std()) == pytest.approx(1, abs=0.03)


def test_batch_norm_starts_fresh() -> None:
    network = build(NetworkConfig(width=8, norm="batch"), 1, (16, 16), 2, generator(0, 0, "test"))
    norm = next(m for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    assert norm.running_mean is not None and norm.running_var is not None
    assert (norm.running_mean == 0).all() and (norm.running_var == 1).all() and (norm.weight == 1).all()
    assert norm.num_batches_tracked == 0


def test_a_module_without_a_rule_is_refused() -> None:
    with pytest.raises(TypeError, match="Bilinear"):
        initialise(nn.Bilinear(2, 2, 2), generator(0, 0, "test"))


def test_images_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="size: 15x32 px"):
        build(NetworkConfig(), 3, (15, 32), 10, generator(0, 0, "test"))
    with pytest.raises(ValueError, match="channels: 2"):
        build(NetworkConfig(), 2, (32, 32), 10, generator(0, 0, "test"))
    with pytest.raises(ValueError, match="depth: 5 poolings leave nothing of 16x16"):
        build(NetworkConfig(depth=5), 3, (16, 16), 10, generator(0, 0, "test"))
    build(NetworkConfig(width=4, depth=5, pooling="none"), 3, (16, 16), 10, generator(0, 0, "test"))


@pytest.mark.parametrize("module", ["core.engine.cpu.blocks", "core.engine.networks.convnet"])
def test_the_first_network_of_a_process_is_loaded_off_the_meta_device(module: str) -> None:
    """Constants that were made there have no memory, and the compiled blocks take their address."""
    script = (
        "import sys, torch\n"
        "from core.engine.config import NetworkConfig\n"
        "from core.engine.networks.build import build\n"
        f"assert {module!r} not in sys.modules\n"
        "network = build(NetworkConfig(width=16, depth=1), 1, (16, 16), 2, torch.Generator())\n"
        "from core.engine.cpu import blocks\n"
        "assert blocks._G_P9.device.type == 'cpu', blocks._G_P9.device\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
