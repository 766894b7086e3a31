"""Every network by name and norm: sizes, initialisation, and that it can be matched on and trained."""

import math
from collections.abc import Generator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchvision.models import resnet18, vgg  # type: ignore[import-untyped, unused-ignore]

from core.engine.augment import draw
from core.engine.condense import condense
from core.engine.config import CondenseConfig, EvaluateConfig, NetworkConfig
from core.engine.evaluate import Progress, Score, train_and_score
from core.engine.matching import matching_loss_and_gradient
from core.engine.networks import NETWORKS, default_norm
from core.engine.networks.build import build, skeleton
from core.engine.networks.network import Network
from core.engine.objectives.mean import Mean
from core.engine.seeds import generator
from core.engine.state import initial_state, synthetic_labels
from tests.unit.engine.problems import noise, random_images

EVERY = [(name, norm) for name, entry in NETWORKS.items() for norm in entry.norms]
SMALL = [one for one in EVERY if one[0] != "convnet"]

FEATURES = {
    "mlp": {16: 128, 28: 128, 32: 128, 64: 128},
    "lenet": {16: 400, 28: 400, 32: 400, 64: 400},
    "alexnet": {16: 3072, 28: 3072, 32: 3072, 64: 3072},
    "vgg11": {16: 512, 28: 512, 32: 512, 64: 512},
    "resnet18": {16: 512, 28: 512, 32: 512, 64: 512},
    "resnet18ap": {16: 512 * 4, 28: 512 * 9, 32: 512 * 16, 64: 512 * 16},
}


def meta(name: str, norm: str, channels: int, size: tuple[int, int], num_classes: int = 10) -> Network:
    """Shapes without numbers: no time is spent on initialisation and arithmetic."""
    return skeleton(NetworkConfig(name=name, norm=norm), channels, size, num_classes)


def real(name: str, norm: str, size: int = 16, *, seed: int = 0) -> Network:
    config = NetworkConfig(name=name, norm=norm, width=8 if name == "convnet" else NetworkConfig.width)
    return build(config, 1, (size, size), 3, generator(seed, 0, "network"))


@pytest.mark.parametrize(("name", "norm"), SMALL)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sizes(name: str, norm: str, channels: int) -> None:
    for side, features in FEATURES[name].items():
        network = meta(name, norm, channels, (side, side), num_classes=7)
        x_NCHW = torch.empty(2, channels, side, side, device="meta")
        assert network.features == features
        assert network.embed(x_NCHW).shape == (2, features)
        assert network(x_NCHW).shape == (2, 7)


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("size", [(16, 40), (41, 17), (33, 100)])
def test_images_need_not_be_square(name: str, size: tuple[int, int]) -> None:
    network = meta(name, NETWORKS[name].norms[-1], 3, size)
    x_NCHW = torch.empty(2, 3, *size, device="meta")
    assert network.embed(x_NCHW).shape == (2, network.features)
    assert network(x_NCHW).shape == (2, 10)


# 3 channels of 32 px, 10 classes; weights, then biases; a norm has a scale and a shift per channel.
MLP = (3072 * 128 + 128) + (128 * 128 + 128) + (128 * 10 + 10)
LENET = (75 * 6 + 6) + (150 * 16 + 16) + (400 * 120 + 120) + (120 * 84 + 84) + (84 * 10 + 10)
ALEXNET = (
    (75 * 128 + 128)
    + (128 * 25 * 192 + 192)
    + (192 * 9 * 256 + 256)
    + (256 * 9 * 192 + 192)
    + (192 * 9 * 192 + 192)
    + (192 * 16 * 10 + 10)
)
VGG11 = (
    9 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 256 + 256 * 512 + 3 * 512 * 512)
    + (1 + 2) * (64 + 128 + 2 * 256 + 4 * 512)
    + (512 * 10 + 10)
)
RESNET18_BLOCKS = (
    (27 * 64 + 2 * 64)
    + 4 * (9 * 64 * 64 + 2 * 64)
    + (9 * 64 * 128 + 3 * 9 * 128 * 128 + 64 * 128 + 5 * 2 * 128)
    + (9 * 128 * 256 + 3 * 9 * 256 * 256 + 128 * 256 + 5 * 2 * 256)
    + (9 * 256 * 512 + 3 * 9 * 512 * 512 + 256 * 512 + 5 * 2 * 512)
)


@pytest.mark.parametrize(
    ("name", "norm", "count"),
    [
        ("mlp", "none", MLP),
        ("lenet", "none", LENET),
        ("alexnet", "none", ALEXNET),
        ("alexnet", "batch", ALEXNET + 2 * (128 + 192 + 256 + 192 + 192)),
        ("vgg11", "instance", VGG11),
        ("vgg11", "batch", VGG11),
        ("resnet18", "instance", RESNET18_BLOCKS + 512 * 10 + 10),
        ("resnet18", "batch", RESNET18_BLOCKS + 512 * 10 + 10),
        ("resnet18ap", "batch", RESNET18_BLOCKS + 512 * 16 * 10 + 10),
    ],
)
def test_parameters(name: str, norm: str, count: int) -> None:
    assert sum(p.numel() for p in meta(name, norm, 3, (32, 32)).parameters()) == count


def test_the_counts_are_the_known_ones() -> None:
    """As published with the code that the official networks were taken from."""
    assert (LENET, VGG11, RESNET18_BLOCKS + 5130) == (62_006, 9_231_114, 11_173_962)


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("name", ["vgg11", "resnet18"])
def test_at_32_px_they_compute_what_torchvisions_do(name: str, norm: str) -> None:
    """Which are for 224 px: without ResNet's first pooling and stride, and VGG's two hidden linear layers."""

    def norm_layer(channels: int) -> nn.Module:
        return nn.BatchNorm2d(channels) if norm == "batch" else nn.GroupNorm(channels, channels)

    config = NetworkConfig(name=name, norm=norm)
    ours = build(config, 3, (32, 32), 10, generator(0, 0, "network"))
    if name == "resnet18":
        theirs = resnet18(num_classes=10, norm_layer=norm_layer)
        theirs.conv1, theirs.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    else:
        features = vgg.make_layers(vgg.cfgs["A"], batch_norm=True)
        normed = [norm_layer(m.num_features) if isinstance(m, nn.BatchNorm2d) else m for m in features]
        theirs = nn.Sequential(*normed, nn.Flatten(), nn.Linear(512, 10))
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        q.data = (
            torch.randn(q.shape, generator=generator(1, p.numel(), "weights")) / max(1, q[0].numel()) ** 0.5
        )
        p.data = q.data
    x_NCHW = noise(4, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(ours(x_NCHW), theirs(x_NCHW), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "norm"), EVERY)
def test_the_generator_decides_all_and_nothing_else(name: str, norm: str) -> None:
    before = torch.get_rng_state()
    first = real(name, norm)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(7)
    for same, p, q in (
        (True, first.parameters(), real(name, norm).parameters()),
        (False, first.parameters(), real(name, norm, seed=1).parameters()),
    ):
        weights = [(a, b) for a, b in zip(p, q, strict=True) if a.ndim in (2, 4)]
        assert all(torch.equal(a, b) == same for a, b in weights)


@pytest.mark.parametrize("name", FEATURES)
def test_initialisation_has_pytorchs_distributions(name: str) -> None:
    network = real(name, NETWORKS[name].norms[0])
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = module.weight[0].numel() ** -0.5
            values = module.weight.detach()
            assert 0.9 * bound < float(values.abs().max()) <= bound
            assert float(values.std()) == pytest.approx(bound / 3**0.5, rel=0.1)
            if module.bias is not None:
                assert 0 < float(module.bias.detach().abs().max()) <= bound
        elif isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            assert (module.running_mean == 0).all() and (module.running_var == 1).all()
            assert (module.weight == 1).all() and (module.bias == 0).all()
            assert module.num_batches_tracked == 0


@pytest.mark.parametrize(("name", "norm"), EVERY)
def test_couples_samples_tells_the_truth(name: str, norm: str) -> None:
    network = real(name, norm)
    assert network.training
    x_NCHW = noise(4, 1, 16, 16)
    with torch.no_grad():
        together_NF, alone_NF = network.embed(x_NCHW), network.embed(x_NCHW[:2])
    alike = torch.allclose(together_NF[:2], alone_NF, rtol=0, atol=1e-5)
    assert alike != network.couples_samples
    assert network.couples_samples == (norm == "batch")
    assert (together_NF[0] != together_NF[1]).any(), (
        "an embedding that is the same for all images is worth nothing"
    )


class Counting:
    """A network that notes how many images each embedding pass had."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.couples_samples = network.couples_samples
        self.passes: list[int] = []

    def embed(self, x_NCHW: Tensor) -> Tensor:
        self.passes.append(len(x_NCHW))
        return self.network.embed(x_NCHW)

    def classify(self, features_NF: Tensor) -> Tensor:
        return self.network.classify(features_NF)

    def stages(self, x_NCHW: Tensor) -> tuple[list[Tensor], Tensor]:
        return self.network.stages(x_NCHW)


@pytest.mark.parametrize(("name", "norm"), EVERY)
@pytest.mark.parametrize("size", [16, 28])
def test_every_network_can_be_matched_on(name: str, norm: str, size: int) -> None:
    network = Counting(real(name, norm, size).requires_grad_(False))
    batches = noise(3, 4, 1, size, size).unbind(0)
    synthetic_NCHW = noise(6, 1, size, size) * 0.5
    augmentations = [draw("none", generator(0, 0, "a"), (size, size))] * 3
    loss, gradient_NCHW = matching_loss_and_gradient(
        Mean(), network, batches, synthetic_NCHW, augmentations, 6
    )
    assert loss > 0 and gradient_NCHW.isfinite().all()
    # Every image feels a pull, and no pixel on the border is out of reach.
    assert (gradient_NCHW.abs().amax(dim=(1, 2, 3)) > 0).all()
    assert (gradient_NCHW[:, :, [0, -1]] != 0).any() and (gradient_NCHW[:, :, :, [0, -1]] != 0).any()
    # Batch statistics must span the classes: then one pass a side.
    assert network.passes == ([12, 6] if norm == "batch" else [4, 4, 4, 6])


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("side", [16, 28, 32, 64])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_network_condenses_and_evaluates_images_of_any_kind(
    name: str, side: int, channels: int
) -> None:
    images = random_images((3, 3), size=(side, side), channels=channels)
    width = 8 if name == "convnet" else NetworkConfig.width
    matched = NetworkConfig(name=name, width=width, norm=default_norm(name))
    config = CondenseConfig(ipc=1, iterations=1, batch_real=2, network=matched)
    before_NCHW = initial_state(images, config).tensors["images_NCHW"]
    (step,) = condense(images, config)
    assert (step.state.tensors["images_NCHW"] != before_NCHW).flatten(1).any(1).all()

    evaluated = replace(matched, norm="batch") if "batch" in NETWORKS[name].norms else matched
    training = EvaluateConfig(network=evaluated, networks=1, epochs=1)
    score = _finish(
        train_and_score((step.state.tensors["images_NCHW"], synthetic_labels(images, 1)), images, training, 0)
    )
    assert score.total == len(images) and math.isfinite(score.train_loss)


def _finish(steps: Generator[Progress, None, Score]) -> Score:
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            score: Score = finished.value
            return score


@pytest.mark.parametrize(("name", "norm"), EVERY)
def test_every_network_learns(name: str, norm: str) -> None:
    network = real(name, norm)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.002)
    labels_N = torch.arange(3).repeat(2)
    x_NCHW = noise(3, 1, 16, 16)[labels_N] + noise(6, 1, 16, 16) * 0.2
    losses = []
    for _ in range(8):
        loss = cross_entropy(network(x_NCHW), labels_N)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    network.eval()
    with torch.no_grad():
        one, all_six = network(x_NCHW[:1]), network(x_NCHW)
    assert torch.allclose(one, all_six[:1], rtol=0, atol=1e-4), "a test image's answer is its own"
