"""CutMix: what is cut, what it weighs, and that training uses it."""

import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot

from core.engine.config import EvaluateConfig, NetworkConfig
from core.engine.cutmix import CutMix, Targets, draw_cutmix
from core.engine.evaluate import mixed, train_and_score
from core.engine.protocols.protocol import EvaluationProtocol

from .problems import random_images


def drawn(seed: int, probability: float = 1.0) -> CutMix | None:
    return draw_cutmix(probability, torch.Generator().manual_seed(seed), (20, 30), 6)


def test_the_partners_share_is_that_of_the_pixels_it_gives() -> None:
    x_BCHW = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 3, 20, 30)
    for seed in range(200):
        mix = drawn(seed)
        assert mix is not None
        result = mix.mixed(x_BCHW)
        for own, partner in enumerate(mix.partners_B.tolist()):
            if own != partner:
                assert float((result[own] == partner).float().mean()) == pytest.approx(mix.share)
                assert float((result[own] == own).float().mean()) == pytest.approx(1 - mix.share)


def test_the_rectangle_has_the_images_proportions_and_a_uniform_area() -> None:
    mixes = [mix for seed in range(4_000) if (mix := drawn(seed)) is not None]
    inner = [
        m
        for m in mixes
        if m.rows.start > 0 and m.rows.stop < 20 and m.columns.start > 0 and m.columns.stop < 30
    ]
    assert len(inner) > 500
    for mix in inner:
        tall, wide = mix.rows.stop - mix.rows.start, mix.columns.stop - mix.columns.start
        assert abs(tall / 20 - wide / 30) < 1 / 20
    # The area before it is cut off is uniform in [0, 1); its centre too, so some is always cut off.
    assert 0.2 < sum(m.share for m in mixes) / len(mixes) < 0.35
    assert max(m.share for m in mixes) > 0.8 and min(m.share for m in mixes) == 0


def test_a_batch_is_mixed_as_often_as_is_asked() -> None:
    assert all(drawn(seed, 0.0) is None for seed in range(50))
    mixed_ones = sum(drawn(seed, 0.5) is not None for seed in range(2_000))
    assert 900 < mixed_ones < 1_100
    assert all(drawn(seed, 1.0) is not None for seed in range(50))


@pytest.mark.parametrize("size", [1, 4, 6])
def test_the_loss_is_the_cross_entropy_of_mixed_labels(size: int) -> None:
    chance = torch.Generator().manual_seed(1)
    logits_BL = torch.randn(6, 5, generator=chance, dtype=torch.float64)
    labels_B = torch.randint(5, (6,), generator=chance)
    mix = CutMix(
        rows=slice(0, 5), columns=slice(0, 6), share=0.05, partners_B=torch.randperm(6, generator=chance)
    )
    _, targets = mixed(mix, torch.zeros(6, 3, 20, 30), labels_B)
    soft_BL = 0.95 * one_hot(labels_B, 5) + 0.05 * one_hot(labels_B[mix.partners_B], 5)
    expected = -(soft_BL * logits_BL.log_softmax(dim=1)).sum() / 6
    parts = zip(targets.split(size), torch.split(logits_BL, size), strict=True)
    found = torch.stack([own.loss(part) * (len(part) / 6) for own, part in parts]).sum()
    assert torch.allclose(found, expected)


def test_without_a_mix_nothing_changes() -> None:
    x_BCHW, labels_B = torch.randn(4, 3, 16, 16), torch.tensor([0, 1, 2, 3])
    same_BCHW, targets = mixed(None, x_BCHW, labels_B)
    logits_BL = torch.randn(4, 5)
    assert same_BCHW is x_BCHW
    assert torch.equal(targets.loss(logits_BL), cross_entropy(logits_BL, labels_B))
    assert [one.partners_B for one in Targets(labels_B=labels_B).split(3)] == [None, None]


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_training_mixes_and_memory_that_runs_out_changes_nothing_but_rounding(optimiser: str) -> None:
    real = random_images((20, 20, 20), channels=3)
    losses = {}
    for cutmix in (0.0, 1.0):
        protocol = EvaluationProtocol(
            title="",
            link="",
            epochs=3,
            lr=0.01,
            weight_decay=0.0,
            batch=16,
            cutmix=cutmix,
            optimiser=optimiser,
        )
        config = EvaluateConfig(network=NetworkConfig(width=8, depth=2), epochs=3, protocol=protocol)
        steps = train_and_score(real, real, config, 0)
        while True:
            try:
                next(steps)
            except StopIteration as done:
                losses[cutmix] = done.value.train_loss
                break
    assert losses[0.0] != losses[1.0]
