"""The objective against a plain reference, written class by class from the paper's description."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from core.engine.augment import Augmentation, draw
from core.engine.config import AUGMENT_OPS, NetworkConfig
from core.engine.matching import class_means, matching_loss_and_gradient
from core.engine.networks.build import build
from core.engine.networks.convnet import ConvNet
from core.engine.objectives.mean import Mean
from core.engine.seeds import generator

CLASSES = 2
AT_THE_KINK = 5e-6
"""A pre-activation this close to 0 may have the other sign in float32."""


def reference_augment(augmentation: Augmentation, x_NCHW: Tensor) -> Tensor:
    values: list[float] = augmentation.values_PK[0].tolist()
    side = x_NCHW.shape[-1]
    match augmentation.op:
        case "color":
            x_NCHW = x_NCHW + values[0]
            x_NCHW = (x_NCHW - x_NCHW.mean(1, keepdim=True)) * values[1] + x_NCHW.mean(1, keepdim=True)
            mean = x_NCHW.flatten(1).mean(1)[:, None, None, None]
            return (x_NCHW - mean) * values[2] + mean
        case "crop":
            down, right = int(values[0]), int(values[1])
            pad = int(0.125 * side + 0.5)
            padded = functional.pad(x_NCHW, (pad, pad, pad, pad))
            return padded[:, :, pad - down : pad - down + side, pad - right : pad - right + side]
        case "cutout":
            hole = int(0.5 * side + 0.5)
            mask = torch.ones(side, side, dtype=x_NCHW.dtype)
            top, left = int(values[0]) - hole // 2, int(values[1]) - hole // 2
            mask[max(top, 0) : top + hole, max(left, 0) : left + hole] = 0
            return x_NCHW * mask
        case "flip":
            return torch.flip(x_NCHW, [3]) if values[0] < 0.5 else x_NCHW
        case "scale":
            theta = torch.tensor([[values[0], 0, 0], [0, values[1], 0]], dtype=x_NCHW.dtype)
        case "rotate":
            cos, sin = math.cos(values[0]), math.sin(values[0])
            theta = torch.tensor([[cos, -sin, 0], [sin, cos, 0]], dtype=x_NCHW.dtype)
        case _:
            return x_NCHW
    grid = functional.affine_grid(theta.expand(len(x_NCHW), 2, 3), list(x_NCHW.shape), align_corners=True)
    sampled_NCHW: Tensor = functional.grid_sample(x_NCHW, grid, align_corners=True)
    return sampled_NCHW


def reference_embed(network: ConvNet, norm: str, x_NCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Features, and for each image how far its units stay away from ReLU's kink."""
    parameters = list(network.blocks.parameters())
    margin_N = torch.full((len(x_NCHW),), torch.inf, dtype=x_NCHW.dtype)
    for i in range(0, len(parameters), 4):
        weight, bias, scale, shift = (p.to(x_NCHW.dtype) for p in parameters[i : i + 4])
        x_NCHW = functional.conv2d(x_NCHW, weight, bias, padding=1)
        dims = (0, 2, 3) if norm == "batch" else (2, 3)
        mean = x_NCHW.mean(dims, keepdim=True)
        variance = (x_NCHW - mean).square().mean(dims, keepdim=True)
        x_NCHW = (x_NCHW - mean) / (variance + 1e-5).sqrt() * scale[:, None, None] + shift[:, None, None]
        margin_N = torch.minimum(margin_N, x_NCHW.detach().abs().flatten(1).amin(1))
        x_NCHW = functional.avg_pool2d(torch.relu(x_NCHW), 2)
    return x_NCHW.reshape(len(x_NCHW), -1), margin_N


def reference_loss(
    network: ConvNet,
    norm: str,
    real: list[Tensor],
    synthetic: list[Tensor],
    augmentations: list[Augmentation],
) -> tuple[Tensor, Tensor]:
    """The loss, and the margin of each synthetic image."""
    real = [reference_augment(a, x) for a, x in zip(augmentations, real, strict=True)]
    synthetic = [reference_augment(a, x) for a, x in zip(augmentations, synthetic, strict=True)]
    if norm == "batch":
        real_features = torch.split(
            reference_embed(network, norm, torch.cat(real))[0], [len(x) for x in real]
        )
        features, margin_N = reference_embed(network, norm, torch.cat(synthetic))
        synthetic_features = torch.split(features, [len(x) for x in synthetic])
    else:
        real_features = tuple(reference_embed(network, norm, x)[0] for x in real)
        embedded = [reference_embed(network, norm, x) for x in synthetic]
        synthetic_features = tuple(features for features, _ in embedded)
        margin_N = torch.cat([margin for _, margin in embedded])
    loss = torch.zeros((), dtype=torch.float64)
    for c in range(CLASSES):
        loss = loss + torch.sum((torch.mean(real_features[c], 0) - torch.mean(synthetic_features[c], 0)) ** 2)
    return loss, margin_N


def smooth_images(count: int, channels: int, side: int, chance: torch.Generator) -> Tensor:
    """Of a few spots each, as neighbouring pixels of photographs are alike: between the pixels of white noise
    float32 resamples too coarsely for the tolerance."""
    spots_NCHW = torch.randn(count, channels, 8, 8, generator=chance)
    return functional.interpolate(spots_NCHW, (side, side), mode="bilinear", align_corners=True)


#: The real side in passes that end within and across classes, the synthetic one by two classes of 10 and the
#: rest; classes of 10 in parts.
SMALL_MICRO_BATCHES = (29, 7)


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("ipc", [1, 10, 50])
# The first batch is more than are embedded at a time; the width of the second is one that is compiled.
@pytest.mark.parametrize(("side", "batch_real", "width"), [(28, 66, 4), (32, 12, 32), (64, 12, 4)])
@pytest.mark.parametrize("op", ["none", *AUGMENT_OPS])
def test_loss_and_pixel_gradient_equal_the_reference(
    op: str, side: int, batch_real: int, width: int, ipc: int, channels: int, norm: str
) -> None:
    config = NetworkConfig(width=width, norm=norm)
    network = build(config, channels, (side, side), CLASSES, generator(0, 0, "network")).requires_grad_(False)
    assert isinstance(network, ConvNet)
    # Of these images at least one keeps clear of every kink, in every case.
    chance = generator(3, 0, "images")

    def class_images(count: int) -> Tensor:
        shared_1CHW = 1.5 * smooth_images(1, channels, side, chance)
        return shared_1CHW + smooth_images(count, channels, side, chance)

    real = [class_images(batch_real) for _ in range(CLASSES)]
    synthetic_NCHW = torch.cat([class_images(ipc) for _ in range(CLASSES)])
    augmentations = [draw(op, chance, (side, side)) for _ in range(CLASSES)]

    leaf = synthetic_NCHW.double().requires_grad_()
    reference, margin_N = reference_loss(
        network, norm, [x.double() for x in real], list(torch.split(leaf, ipc)), augmentations
    )
    (reference_gradient,) = torch.autograd.grad(reference, leaf)
    assert reference > 0 and reference_gradient.abs().max() > 0

    # The gradient jumps at ReLU's kink, where float32's rounding decides on a side; float64 is held to all.
    clear_N = margin_N > AT_THE_KINK
    assert clear_N.any()
    for dtype, compared_N, loss_tolerance, gradient_tolerance in (
        (torch.float32, clear_N, 1e-6, 1e-4),
        (torch.float64, torch.ones_like(clear_N), 1e-9, 1e-9),
    ):
        network = network.to(dtype)
        for micro_batch in (1000, *(SMALL_MICRO_BATCHES if (side, ipc) == (28, 10) else ())):
            ours, ours_gradient = matching_loss_and_gradient(
                Mean(),
                network,
                iter([x.to(dtype) for x in real]),
                synthetic_NCHW.to(dtype),
                augmentations,
                micro_batch,
            )
            assert ours.dtype == dtype and not ours.requires_grad
            assert float(ours) == pytest.approx(float(reference.detach()), rel=loss_tolerance)
            error = (ours_gradient - reference_gradient)[
                compared_N
            ].abs().max() / reference_gradient.abs().max()
            assert error <= gradient_tolerance


class Watched:
    """Embeds by a network and notes of each pass its images, whether it has a graph, the batches read."""

    def __init__(self, couples_samples: bool = False) -> None:
        norm = "batch" if couples_samples else "instance"
        self.network = build(NetworkConfig(width=4, depth=2, norm=norm), 1, (16, 16), 1, generator(0, 0, "n"))
        self.network.requires_grad_(False)
        self.couples_samples = couples_samples
        self.passes: list[tuple[int, bool]] = []
        self.read = 0
        self.read_by_then: list[int] = []

    def classify(self, features_NF: Tensor) -> Tensor:
        return self.network.classify(features_NF)

    def stages(self, x_NCHW: Tensor) -> tuple[list[Tensor], Tensor]:
        return self.network.stages(x_NCHW)

    def embed(self, x_NCHW: Tensor) -> Tensor:
        self.passes.append((len(x_NCHW), torch.is_grad_enabled()))
        self.read_by_then.append(self.read)
        return self.network.embed(x_NCHW)

    def reading(self, sizes: tuple[int, ...]) -> Iterator[Tensor]:
        for size in sizes:
            self.read += 1
            yield torch.randn(size, 1, 16, 16, generator=generator(1, self.read, "images"))


@pytest.mark.parametrize(
    ("ipc", "micro_batch", "synthetic_passes"),
    [
        (2, 100, [(6, True)]),
        (2, 5, [(4, True), (2, True)]),
        (3, 5, [(3, True)] * 3),
        (5, 3, [(3, False), (2, False), (3, True), (2, True)] * 3),
    ],
)
def test_no_pass_is_larger_than_the_micro_batch(
    ipc: int, micro_batch: int, synthetic_passes: list[tuple[int, bool]]
) -> None:
    network = Watched()
    augmentations = [draw("flip", generator(0, c, "a"), (16, 16)) for c in range(3)]
    synthetic_NCHW = torch.zeros(3 * ipc, 1, 16, 16)
    matching_loss_and_gradient(
        Mean(), network, network.reading((7, 7, 7)), synthetic_NCHW, augmentations, micro_batch
    )
    real_passes = network.passes[: -len(synthetic_passes)]
    assert sum(count for count, _ in real_passes) == 21
    assert max(count for count, _ in real_passes) <= micro_batch
    assert not any(graph for _, graph in real_passes), "the real side needs no gradient"
    assert network.passes[len(real_passes) :] == synthetic_passes


def test_batches_are_read_only_as_they_are_needed() -> None:
    network = Watched()
    class_means(Mean(), network, network.reading((4,) * 20), 8, span=True)
    assert network.passes == [(8, False)] * 10
    assert network.read_by_then == list(range(2, 21, 2))


def test_passes_that_span_classes_keep_their_means_apart() -> None:
    sizes = (3, 1, 9, 2)
    expected = [Watched().network.embed(x_NCHW).mean(dim=0) for x_NCHW in Watched().reading(sizes)]
    for micro_batch, passes in ((100, [15]), (4, [4, 4, 4, 3]), (1, [1] * 15)):
        network = Watched()
        means_CF = class_means(Mean(), network, network.reading(sizes), micro_batch, span=True)
        assert [count for count, _ in network.passes] == passes
        assert torch.allclose(means_CF, torch.stack(expected), rtol=1e-5, atol=1e-6)


def test_a_network_that_couples_samples_is_never_split() -> None:
    network = Watched(couples_samples=True)
    augmentations = [draw("none", generator(0, 0, "a"), (16, 16))] * 3
    matching_loss_and_gradient(
        Mean(), network, network.reading((7, 7, 7)), torch.zeros(15, 1, 16, 16), augmentations, 2
    )
    assert network.passes == [(21, False), (15, True)]


def test_one_class_more_than_augmentations_is_refused() -> None:
    network = build(NetworkConfig(width=4), 1, (16, 16), 1, generator(0, 0, "network"))
    x_NCHW = torch.zeros(2, 1, 16, 16)
    augmentations = [draw("none", generator(0, 0, "a"), (16, 16))]
    with pytest.raises(ValueError, match="zip"):
        matching_loss_and_gradient(Mean(), network, [x_NCHW, x_NCHW], x_NCHW, augmentations, 64)
