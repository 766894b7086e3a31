"""An expert's cross-entropy beside what is matched, against a plain formula in float64."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from core.engine.augment import apply, draw
from core.engine.condense import condense
from core.engine.config import CondenseConfig, NetworkConfig, PoolConfig
from core.engine.expert import Expert
from core.engine.matching import matching_loss_and_gradient
from core.engine.networks.build import build
from core.engine.objectives.mean import Mean
from core.engine.pool import pool_training, train_pool_network
from core.engine.seeds import generator
from core.engine.state import CondenseState, check_finite, decoded
from core.trials.training import finish

from .problems import bright_quarters

LABELS, IPC = (0, 2, 3), 10
"""Class 1 has no images."""


def network_of(norm: str, seed: int) -> torch.nn.Module:
    network = build(NetworkConfig(width=4, depth=2, norm=norm), 1, (16, 16), 4, generator(seed, 0, "n"))
    assert isinstance(network, torch.nn.Module)
    return network.double().requires_grad_(False)


def plain_loss(
    network: torch.nn.Module, expert: torch.nn.Module, weight: float, real: list[Tensor], own: list[Tensor]
) -> Tensor:
    """Of all classes of a side in one pass, as batch statistics ask for, then written out."""
    features = [network.blocks(torch.cat(side)).flatten(1) for side in (real, own)]  # type: ignore[operator]
    means = [side.view(len(LABELS), -1, side.shape[1]).mean(dim=1) for side in features]
    log_p = expert(torch.cat(own)).log_softmax(dim=1)
    answers = one_hot(torch.tensor(LABELS).repeat_interleave(IPC), 4)
    matched: Tensor = ((means[0] - means[1]) ** 2).sum()
    judged: Tensor = (answers * log_p).sum() / IPC
    return matched - weight * judged


@pytest.mark.parametrize("micro_batch", [1_000, 23, 7, 1])
@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("itself", [True, False])
def test_loss_and_gradient_are_autograds_through_the_plain_formula(
    itself: bool, norm: str, micro_batch: int
) -> None:
    network = network_of(norm, 0)
    expert = network if itself else network_of(norm, 1)
    chance = generator(1, 0, "images")
    shape = (1, 16, 16)
    real = [torch.randn(12, *shape, dtype=torch.float64, generator=chance) + c for c in LABELS]
    synthetic_NCHW = torch.randn(len(LABELS) * IPC, *shape, dtype=torch.float64, generator=chance)
    augmentations = [draw("color_crop_flip", chance, (16, 16)) for _ in LABELS]
    leaf_NCHW = synthetic_NCHW.clone().requires_grad_()
    sides = (real, list(torch.split(leaf_NCHW, IPC)))
    augmented = [[apply(a, x) for a, x in zip(augmentations, side, strict=True)] for side in sides]
    expected = plain_loss(network, expert, 2.5, *augmented)
    (expected_NCHW,) = torch.autograd.grad(expected, leaf_NCHW)

    loss, gradient_NCHW = matching_loss_and_gradient(
        Mean(), network, iter(real), synthetic_NCHW, augmentations, micro_batch,  # type: ignore[arg-type]
        Expert(network=expert, weight=2.5, classes_C=torch.tensor(LABELS)),  # type: ignore[arg-type]
    )  # fmt: skip
    assert float(loss) == pytest.approx(float(expected.detach()), rel=1e-12)
    assert torch.allclose(gradient_NCHW, expected_NCHW, rtol=1e-9, atol=1e-12)


REAL = bright_quarters(40, seed=0)
CONFIG = CondenseConfig(
    ipc=2, iterations=6, batch_real=16, lr=1.0, network=NetworkConfig(width=8, depth=2), form="collage-2",
    composed=True, clamp=True, source="trajectory", pool=PoolConfig(networks=2, epochs=3), expert=1.0,
    batch_synthetic=5,
)  # fmt: skip


@pytest.fixture(scope="module", name="pool")
def _pool() -> list[object]:
    training = pool_training(CONFIG)
    return [finish(train_pool_network(REAL, training, n), lambda at: None) for n in range(2)]


@pytest.mark.parametrize("source", ["trajectory", "interpolation"])
@pytest.mark.parametrize("at", [1, 3, 5])
def test_a_condensation_with_a_pool_resumes_bit_for_bit(pool: list[object], source: str, at: int) -> None:
    config = replace(CONFIG, source=source)
    whole = list(condense(REAL, config, pool=pool))  # type: ignore[arg-type]
    kept = whole[at - 1].state
    state = CondenseState(tensors={n: one.clone() for n, one in kept.tensors.items()}, iteration=at)
    *_, resumed = condense(REAL, config, state=state, pool=pool)  # type: ignore[arg-type]
    for name, tensor in whole[-1].state.tensors.items():
        assert torch.equal(resumed.state.tensors[name], tensor), name
    check_finite(resumed.state)


@pytest.mark.parametrize("source", ["trajectory", "interpolation"])
def test_smaller_micro_batches_change_nothing_but_rounding(pool: list[object], source: str) -> None:
    config = replace(CONFIG, source=source)
    whole, parts = (list(condense(REAL, config, pool=pool, micro_batch=n)) for n in (64, 3))  # type: ignore[arg-type]
    for one, other in zip(whole, parts, strict=True):
        assert float(one.loss) == pytest.approx(float(other.loss), rel=1e-4)
        assert torch.allclose(
            one.state.tensors["images_NCHW"], other.state.tensors["images_NCHW"], rtol=0, atol=1e-3
        )


def test_the_experts_loss_falls_where_it_is_asked_for(pool: list[object]) -> None:
    trained = build(CONFIG.network, 1, (16, 16), 4, generator(0, 0, "any"))
    assert isinstance(trained, torch.nn.Module)
    trained.load_state_dict(pool[0].at(12))  # type: ignore[attr-defined]

    def judged(weight: float) -> float:
        # What a chain may move or mirror to another quarter is another class.
        config = replace(CONFIG, iterations=30, expert=weight, augment="none")
        *_, last = condense(REAL, config, pool=pool)  # type: ignore[arg-type]
        images_NCHW, labels_N = decoded(last.state, REAL, config)
        return float(torch.nn.functional.cross_entropy(trained(images_NCHW).detach(), labels_N))

    assert judged(100.0) < judged(0.0)
