"""The benchmark compares like with like."""

import itertools

import pytest
import torch

from bench import official_loop
from bench.report import Timing, table, whole_set
from bench.side import POOL_STEPS, SHORT
from core.engine.augment import draw
from core.engine.config import CondenseConfig, NetworkConfig
from core.engine.matching import matching_loss_and_gradient
from core.engine.networks.build import build
from core.engine.objectives.mean import Mean
from core.engine.recipes import RECIPES
from core.engine.seeds import generator


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=generator(0, 0, "test"))


def test_both_sides_compute_the_same_loss() -> None:
    network = build(NetworkConfig(width=8), 3, (32, 32), 2, generator(0, 0, "network")).requires_grad_(False)
    real_BNCHW, synthetic_NCHW = noise(2, 6, 3, 32, 32), noise(6, 3, 32, 32)
    nothing = [draw("none", generator(0, 0, "augmentation"), (32, 32))] * 2
    ours, _ = matching_loss_and_gradient(Mean(), network, real_BNCHW, synthetic_NCHW, nothing, 64)
    by_class = zip(real_BNCHW, torch.split(synthetic_NCHW, 3), strict=True)
    theirs = sum(official_loop.class_loss(network.embed, real, own) for real, own in by_class)
    assert float(ours) == pytest.approx(float(theirs), rel=1e-6)


def test_both_sides_have_the_same_network() -> None:
    ours = build(NetworkConfig(), 3, (32, 32), 10, generator(0, 0, "network"))
    theirs = official_loop.ConvNet(3, 10, 32)
    assert [p.shape for p in ours.parameters()] == [p.shape for p in theirs.parameters()]
    assert isinstance(ours, torch.nn.Module)
    theirs.load_state_dict(ours.state_dict())
    x_NCHW = noise(2, 3, 32, 32)
    assert torch.allclose(ours(x_NCHW), theirs(x_NCHW), rtol=0, atol=1e-5)


@pytest.mark.parametrize("op", official_loop.OPS)
def test_a_shared_seed_augments_all_images_alike(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(official_loop, "OPS", (op,))
    one = noise(1, 3, 32, 32)
    shared = official_loop.augment(one.expand(4, -1, -1, -1), 5)
    assert torch.equal(shared, shared[:1].expand_as(shared))
    each = official_loop.augment(one.expand(16, -1, -1, -1), None)
    assert not torch.equal(each, each[:1].expand_as(each))


def test_the_baseline_learns_and_moves() -> None:
    torch.manual_seed(0)  # the official loop draws by it
    labels_N = torch.arange(2).repeat_interleave(8)
    images_NCHW = noise(16, 3, 32, 32) * 0.1
    images_NCHW[:8, :, ::4] += 1  # stripes one way or the other: normalisation would take a mere shade away
    images_NCHW[8:, :, :, ::4] += 1
    *_, share = itertools.islice(official_loop.evaluate(images_NCHW, labels_N), 8)
    assert share > 0.8
    losses = list(itertools.islice(official_loop.condense(images_NCHW, labels_N, ipc=1, batch_real=4), 2))
    assert all(loss > 0 for loss in losses)


def test_the_ratio_is_taken_pair_by_pair() -> None:
    timing = Timing("condense 10", [(1.0, 2.0), (2.0, 6.0), (1.0, 4.0)])
    assert timing.ratios == [2, 3, 4]
    assert (
        "| condensation, IPC 10 | 3 | 1.00 s/iteration | 4.00 s/iteration | 3.00× (2.00 – 4.00) |"
        in table([timing])
    )


def test_a_whole_set_is_steps_and_iterations_at_their_measured_seconds() -> None:
    config = CondenseConfig(ipc=10, **RECIPES[SHORT].settings(10), **RECIPES[SHORT].method(10))
    assert config.pool is not None
    # A second for an iteration of ours, one for each of the pool's steps, three for the official loop's.
    timings = [
        Timing(f"{SHORT} 10", [(1.0, 3.0)] * 3), Timing("pool 10", [(float(POOL_STEPS), 3.0)] * 3),
    ]  # fmt: skip
    steps = config.pool.networks * config.pool.epochs * 391  # batches of 128 of 50,000
    said = whole_set(timings)
    assert f"{steps:,} training steps of the pool ({steps:,} s) and {config.iterations:,} iterations" in said
    assert f"**1/{60_000 / (steps + config.iterations):.0f}** of its time" in said
    assert f"1/{60_000 / config.iterations:.0f} once the pool is there" in said
