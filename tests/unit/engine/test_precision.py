"""Bfloat16 convolutions against the float32 objective, and what a device decides."""

import pytest
import torch

from core.engine.augment import draw
from core.engine.config import NetworkConfig
from core.engine.images import _uploaded, resident
from core.engine.matching import matching_loss_and_gradient
from core.engine.networks.build import build
from core.engine.networks.initialise import initialise
from core.engine.objectives.mean import Mean
from core.engine.precision import MixedPrecision, on_device
from core.engine.seeds import generator

from .problems import random_images


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_mixed_precision_is_the_objective_to_bfloat16s_rounding(norm: str) -> None:
    config = NetworkConfig(width=16, depth=2, norm=norm)
    network = build(config, 3, (16, 16), 3, generator(0, 0, "network")).requires_grad_(False)
    mixed = MixedPrecision(network)
    assert mixed.couples_samples == network.couples_samples
    x_NCHW = torch.randn(30, 3, 16, 16, generator=generator(1, 0, "images"))
    assert mixed.embed(x_NCHW).dtype == torch.float32
    assert not torch.equal(mixed.embed(x_NCHW), network.embed(x_NCHW)), "it is another arithmetic"
    real = [torch.randn(20, 3, 16, 16, generator=generator(c, 0, "real")) + c for c in range(3)]
    augmentations = [draw("color_scale_rotate", generator(c, 0, "a"), (16, 16)) for c in range(3)]

    loss, gradient_NCHW = matching_loss_and_gradient(Mean(), network, real, x_NCHW, augmentations, 64)
    mixed_loss, mixed_NCHW = matching_loss_and_gradient(Mean(), mixed, real, x_NCHW, augmentations, 64)
    assert mixed_loss.dtype == mixed_NCHW.dtype == torch.float32
    assert float(mixed_loss) == pytest.approx(float(loss), rel=2e-2)
    # On a CPU autocast leaves the norms in bfloat16 as well, so this is wider than CUDA needs.
    assert (mixed_NCHW - gradient_NCHW).norm() < 0.1 * gradient_NCHW.norm()


def test_the_device_alone_decides() -> None:
    network = build(NetworkConfig(width=4), 1, (16, 16), 2, generator(0, 0, "network"))
    assert on_device(network, "cpu") is network and on_device(network, "mps") is network
    assert isinstance(on_device(network, "cuda"), MixedPrecision)
    assert isinstance(on_device(network, torch.device("cuda", 1)), MixedPrecision)
    real = random_images()
    assert resident(real, "cpu") is real


@pytest.mark.parametrize("rows", [7, 36, 4096])
def test_an_upload_in_parts_is_whole(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.engine.images.UPLOAD_ROWS", rows)
    pixels_NHWC = random_images(channels=3).images_NHWC
    uploaded_NHWC = _uploaded(pixels_NHWC, torch.device("cpu"))
    assert uploaded_NHWC.tolist() == pixels_NHWC.tolist()


@pytest.mark.parametrize("norm", ["instance", "batch", "layer"])
def test_drawing_anew_in_place_equals_building_anew(norm: str) -> None:
    config = NetworkConfig(width=4, depth=2, norm=norm)
    network = build(config, 1, (16, 16), 2, generator(0, 0, "network"))
    network(torch.randn(4, 1, 16, 16, generator=generator(0, 0, "images")))
    initialise(network, generator(0, 1, "network"))
    again = build(config, 1, (16, 16), 2, generator(0, 1, "network"))
    assert isinstance(network, torch.nn.Module) and isinstance(again, torch.nn.Module)
    for name, tensor in again.state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor), name
