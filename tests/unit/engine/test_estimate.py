"""What a dry run finds out, and that it leaves no trace."""

import dataclasses

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from core.engine.condense import condense
from core.engine.config import CondenseConfig, NetworkConfig
from core.engine.errors import OutOfMemory
from core.engine.estimate import estimate, flops_per_iteration
from core.engine.networks import NETWORKS
from core.engine.networks.build import skeleton
from core.engine.state import initial_state
from tests.support.limited import limit_convnet

from .problems import random_images

CPU = torch.device("cpu")
CONFIG = CondenseConfig(ipc=2, iterations=50, batch_real=20, network=NetworkConfig(width=4, depth=2))


def test_a_dry_run_leaves_no_trace() -> None:
    real = random_images()
    state = initial_state(real, CONFIG)
    before = state.tensors["images_NCHW"].clone()
    short = dataclasses.replace(CONFIG, iterations=3)
    *_, expected = condense(real, short)
    estimate(real, short, state, CPU)
    assert torch.equal(state.tensors["images_NCHW"], before) and not state.tensors["velocity_NCHW"].any()
    *_, step = condense(real, short, state=state)
    assert torch.equal(step.state.tensors["images_NCHW"], expected.state.tensors["images_NCHW"])


def test_what_it_finds() -> None:
    real = random_images()
    found = estimate(real, CONFIG, initial_state(real, CONFIG), CPU)
    assert found.seconds_per_iteration > 0 and found.warm
    assert found.seconds == pytest.approx(50 * found.seconds_per_iteration)
    # torch alone takes more than this.
    assert found.peak_memory_bytes is not None and 50 << 20 < found.peak_memory_bytes < 1 << 40
    assert (found.micro_batch, found.halved) == (60, False)


def test_too_little_memory_shows_before_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    real = random_images()
    state = initial_state(real, CONFIG)
    limit_convnet(monkeypatch, 10)
    found = estimate(real, CONFIG, state, CPU)
    assert (found.micro_batch, found.halved, found.warm) == (7, True, True)
    limit_convnet(monkeypatch, 0)
    with pytest.raises(OutOfMemory, match="iteration 1 with a micro-batch of 1"):
        estimate(real, CONFIG, state, CPU)


def test_flops_are_those_counted_by_hand() -> None:
    real = random_images((5,) * 10, size=(32, 32), channels=3)
    config = CondenseConfig(ipc=10, batch_real=256)
    # Three convolutions 3x3 of 128 channels, at 32, 16 and 8 px; synthetic images forward and back.
    forward = 2 * 9 * 128 * (32 * 32 * 3 + 16 * 16 * 128 + 8 * 8 * 128)
    assert flops_per_iteration(real, config) == 10 * (256 + 2 * 10) * forward


@pytest.mark.parametrize(
    ("name", "norm"), [(name, norm) for name, entry in NETWORKS.items() for norm in entry.norms]
)
def test_flops_are_those_that_torch_counts(name: str, norm: str) -> None:
    config = dataclasses.replace(CONFIG, network=NetworkConfig(name=name, norm=norm))
    real = random_images(size=(32, 32))
    network = skeleton(config.network, real.channels, real.size, real.num_classes).requires_grad_(False)
    x_NCHW = torch.empty(2, real.channels, 32, 32, device="meta", requires_grad=True)
    with FlopCounterMode(display=False) as forward:
        features_NF = network.embed(x_NCHW)
    with FlopCounterMode(display=False) as backward:
        torch.autograd.grad(features_NF.sum(), x_NCHW)
    one_forward, one_back = forward.get_total_flops() // 2, backward.get_total_flops() // 2
    per_class = config.batch_real * one_forward + config.ipc * (one_forward + one_back)
    assert flops_per_iteration(real, config) == len(real.classes) * per_class > 1_000_000
