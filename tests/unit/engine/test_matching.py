"""The objective against a plain reference, written class by class from the paper's description."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from core.engine.augment import Augmentation, draw
from core.engine.config import AUGMENT_OPS, NetworkConfig
from core.engine.matching import matching_loss
from core.engine.networks import build
from core.engine.networks.convnet import ConvNet
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


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("ipc", [1, 10, 50])
# The first batch is more than are embedded at a time.
@pytest.mark.parametrize(("side", "batch_real"), [(28, 66), (32, 12), (64, 12)])
@pytest.mark.parametrize("op", ["none", *AUGMENT_OPS])
def test_loss_and_pixel_gradient_equal_the_reference(
    op: str, side: int, batch_real: int, ipc: int, channels: int, norm: str
) -> None:
    config = NetworkConfig(width=4, norm=norm)
    network = build(config, channels, (side, side), CLASSES, generator(0, 0, "network")).requires_grad_(False)
    assert isinstance(network, ConvNet)
    chance = generator(1, 0, "images")

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
        ours_leaf = synthetic_NCHW.to(dtype).requires_grad_()
        ours = matching_loss(network, iter([x.to(dtype) for x in real]), ours_leaf, augmentations)
        (ours_gradient,) = torch.autograd.grad(ours, ours_leaf)
        assert ours.dtype == dtype
        assert float(ours.detach()) == pytest.approx(float(reference.detach()), rel=loss_tolerance)
        error = (ours_gradient - reference_gradient)[compared_N].abs().max() / reference_gradient.abs().max()
        assert error <= gradient_tolerance


def test_the_real_side_builds_no_graph() -> None:
    network = build(NetworkConfig(width=4), 1, (16, 16), 1, generator(0, 0, "network")).requires_grad_(False)
    real = torch.randn(4, 1, 16, 16, generator=generator(1, 0, "images"), requires_grad=True)
    augmentations = [draw("flip", generator(0, 0, "a"), (16, 16))]
    loss = matching_loss(network, [real], real.detach()[:2].requires_grad_(), augmentations)
    (gradient_NCHW,) = torch.autograd.grad(loss, real, allow_unused=True)
    assert gradient_NCHW is None


def test_one_class_more_than_augmentations_is_refused() -> None:
    network = build(NetworkConfig(width=4), 1, (16, 16), 1, generator(0, 0, "network"))
    x_NCHW = torch.zeros(2, 1, 16, 16)
    with pytest.raises(ValueError, match="zip"):
        matching_loss(network, [x_NCHW, x_NCHW], x_NCHW, [draw("none", generator(0, 0, "a"), (16, 16))])
