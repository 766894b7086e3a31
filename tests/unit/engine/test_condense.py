import dataclasses
import random

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.engine.augment import draw
from core.engine.condense import CHECK_EVERY, Step, condense
from core.engine.config import CondenseConfig, NetworkConfig
from core.engine.errors import NumericalError
from core.engine.images import LabelledImages
from core.engine.matching import matching_loss_and_gradient
from core.engine.networks.build import build
from core.engine.networks.initialise import initialise
from core.engine.objectives.mean import Mean
from core.engine.sampling import sample
from core.engine.seeds import generator
from core.engine.sources import fresh
from core.engine.state import CondenseState, check_finite, initial_state, synthetic_labels

from .problems import bright_quarters, random_images, with_tensor

TINY = NetworkConfig(width=4, depth=2)
CONFIG = CondenseConfig(ipc=2, iterations=12, batch_real=8, network=TINY, seed=5)


def last(real: LabelledImages, config: CondenseConfig, state: CondenseState | None = None) -> Step:
    *_, step = condense(real, config, state=state)
    return step


def same(a: CondenseState, b: CondenseState) -> bool:
    return (
        torch.equal(a.tensors["images_NCHW"], b.tensors["images_NCHW"])
        and torch.equal(a.tensors["velocity_NCHW"], b.tensors["velocity_NCHW"])
        and a.iteration == b.iteration
    )


@pytest.mark.parametrize(("norm", "lr_decay"), [("instance", 0.0), ("batch", 0.0), ("instance", 0.7)])
def test_resumed_equals_uninterrupted_bit_for_bit(norm: str, lr_decay: float) -> None:
    real = random_images()
    network = NetworkConfig(width=4, depth=2, norm=norm)
    config = dataclasses.replace(CONFIG, network=network, lr_decay=lr_decay)
    whole = list(condense(real, config))
    assert [step.iteration for step in whole] == list(range(1, 13))
    for killed_after in (1, 5, 11):
        kept = whole[killed_after - 1].state
        tensors = {name: tensor.clone() for name, tensor in kept.tensors.items()}
        state = CondenseState(tensors=tensors, iteration=killed_after)
        resumed = list(condense(real, config, state=state))
        assert [step.iteration for step in resumed] == list(range(killed_after + 1, 13))
        assert [float(s.loss) for s in resumed] == [float(s.loss) for s in whole[killed_after:]]
        assert same(resumed[-1].state, whole[-1].state)
    # Negative controls: the test would notice a state that lost its velocity or its place.
    velocity_NCHW = whole[4].state.tensors["velocity_NCHW"]
    forgetful = with_tensor(whole[4].state, "velocity_NCHW", torch.zeros_like(velocity_NCHW))
    assert not same(last(real, config, forgetful).state, whole[-1].state)
    misplaced = dataclasses.replace(whole[4].state, iteration=4)
    assert not same(last(real, config, misplaced).state, whole[-1].state)


def test_states_once_yielded_are_never_written_to() -> None:
    kept: list[tuple[CondenseState, dict[str, Tensor]]] = []
    for step in condense(random_images(), CONFIG):
        kept.append((step.state, {name: one.clone() for name, one in step.state.tensors.items()}))
    for state, copies in kept:
        for name, tensor in state.tensors.items():
            assert torch.equal(tensor, copies[name]) and not tensor.requires_grad


def test_a_finished_state_has_nothing_left_to_do() -> None:
    real = random_images()
    assert list(condense(real, CONFIG, state=last(real, CONFIG).state)) == []


def test_same_seed_same_bytes_and_other_seed_differs() -> None:
    real = random_images()
    first = last(real, CONFIG).state
    torch.manual_seed(99)
    assert same(first, last(real, CONFIG).state)
    other = last(real, dataclasses.replace(CONFIG, seed=6)).state
    assert not torch.equal(first.tensors["images_NCHW"], other.tensors["images_NCHW"])


@pytest.mark.parametrize("init", ["real", "noise"])
def test_global_generators_are_neither_read_nor_written(init: str) -> None:
    real = random_images()
    config = dataclasses.replace(CONFIG, init=init, iterations=6)
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    before = (torch.get_rng_state(), repr(np.random.get_state()), random.getstate())
    first = last(real, config).state
    assert torch.equal(torch.get_rng_state(), before[0])
    assert repr(np.random.get_state()) == before[1]
    assert random.getstate() == before[2]
    torch.manual_seed(2)
    np.random.seed(2)
    random.seed(2)
    assert same(last(real, config).state, first)


def test_iterations_are_the_papers_with_torchs_own_sgd() -> None:
    real = random_images((30, 30, 30), channels=3)
    config = dataclasses.replace(CONFIG, iterations=4, lr=0.7, lr_decay=0.75, momentum=0.4)
    images_NCHW = initial_state(real, config).tensors["images_NCHW"].clone().requires_grad_()
    sgd = torch.optim.SGD([images_NCHW], lr=0.7, momentum=0.4)
    schedule = torch.optim.lr_scheduler.LambdaLR(sgd, lambda t: (1, 1, 2 / 3, 1 / 3, 0)[t])
    for step in condense(real, config):
        t = step.iteration - 1
        network = build(TINY, 3, (16, 16), 3, generator(5, t, "network")).requires_grad_(False)
        real_chance, augment_chance = generator(5, t, "real batch"), generator(5, t, "augmentation")
        batches = [real.normalised(sample(real.indices_by_class[c], 8, real_chance), "cpu") for c in range(3)]
        augmentations = [draw(config.augment, augment_chance, (16, 16)) for _ in range(3)]
        loss, images_NCHW.grad = matching_loss_and_gradient(
            Mean(), network, batches, images_NCHW, augmentations, 64
        )
        sgd.step()
        schedule.step()
        assert float(step.loss) == pytest.approx(float(loss), rel=1e-6)
        assert torch.allclose(step.state.tensors["images_NCHW"], images_NCHW, rtol=0, atol=1e-5)


def test_real_initial_images_are_distinct_members_of_their_class() -> None:
    real = random_images((12, 3, 12))
    state = initial_state(real, dataclasses.replace(CONFIG, ipc=5))
    assert state.iteration == 0 and not state.tensors["velocity_NCHW"].any()
    for c, own_NCHW in enumerate(torch.split(state.tensors["images_NCHW"], 5)):
        members = [x.numpy().tobytes() for x in real.normalised(real.indices_by_class[c], "cpu")]
        chosen = [x.numpy().tobytes() for x in own_NCHW]
        assert set(chosen) <= set(members)
        assert len(set(chosen)) == 5 or c == 1


def test_noise_initial_images_are_standard_normal() -> None:
    images_NCHW = initial_state(random_images(), dataclasses.replace(CONFIG, ipc=50, init="noise")).tensors[
        "images_NCHW"
    ]
    assert float(images_NCHW.mean()) == pytest.approx(0, abs=0.02)
    assert float(images_NCHW.std()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_tiny_and_missing_classes_are_normal(norm: str) -> None:
    real = random_images((20, 3, 0, 1))
    config = dataclasses.replace(CONFIG, ipc=4, network=NetworkConfig(width=4, depth=2, norm=norm))
    assert synthetic_labels(real, 4).tolist() == [0] * 4 + [1] * 4 + [3] * 4
    state = last(real, config).state
    assert state.tensors["images_NCHW"].shape == (12, 1, 16, 16)
    check_finite(state)


@pytest.mark.parametrize(
    ("ipc", "norm", "augment"), [(1, "instance", "color"), (1, "batch", "none"), (7, "instance", "none")]
)
def test_any_ipc_with_or_without_augmentation(ipc: int, norm: str, augment: str) -> None:
    network = NetworkConfig(width=4, depth=2, norm=norm)
    config = CondenseConfig(ipc=ipc, iterations=3, batch_real=8, augment=augment, network=network)
    check_finite(last(random_images(size=(17, 20)), config).state)


def test_the_loss_falls() -> None:
    config = CondenseConfig(
        ipc=2, iterations=60, batch_real=32, init="noise", network=NetworkConfig(width=16, depth=2)
    )
    losses = [float(step.loss) for step in condense(bright_quarters(60, seed=0), config)]
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


def test_a_diverging_run_stops_with_a_numerical_error() -> None:
    config = CondenseConfig(
        ipc=1,
        iterations=10 * CHECK_EVERY,
        batch_real=2,
        lr=1e6,
        network=NetworkConfig(width=2, depth=1, norm="none"),
    )
    seen = 0
    with pytest.raises(NumericalError, match="not finite"):
        for step in condense(random_images((4, 4)), config):
            seen = step.iteration
    assert seen % CHECK_EVERY == CHECK_EVERY - 1


def test_an_infinite_loss_is_noticed_though_the_state_stays_finite() -> None:
    # Squares overflow, the gradient does not.
    real = random_images((4, 4))
    config = CondenseConfig(
        ipc=1,
        iterations=3,
        batch_real=2,
        lr=1e-6,
        momentum=0.0,
        augment="none",
        network=NetworkConfig(width=2, depth=1, norm="none"),
    )
    start = initial_state(real, config)
    state = with_tensor(start, "images_NCHW", start.tensors["images_NCHW"] + 1e21)
    steps = condense(real, config, state=state)
    step = next(steps)
    assert not step.loss.isfinite()
    check_finite(step.state)
    with pytest.raises(NumericalError, match="the loss is not finite"):
        list(steps)


def test_a_last_step_to_infinity_is_noticed_though_the_loss_was_finite() -> None:
    real = random_images((4, 4))
    config = dataclasses.replace(CONFIG, iterations=1, lr=1e6)
    start = initial_state(real, config)
    fast = with_tensor(start, "velocity_NCHW", torch.full_like(start.tensors["velocity_NCHW"], 1e38))
    with pytest.raises(NumericalError, match="values of images_NCHW are not finite after iteration 1"):
        list(condense(real, config, state=fast))


@pytest.mark.parametrize("field", ["images_NCHW", "velocity_NCHW"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_state_that_is_not_finite_does_not_pass(field: str, value: float) -> None:
    state = initial_state(random_images(), CONFIG)
    check_finite(state)
    broken = state.tensors[field].clone()
    broken[1, 0, 2, 3] = value
    with pytest.raises(NumericalError, match=rf"1 of 1536 values of {field} are not finite"):
        check_finite(with_tensor(state, field, broken))


def test_a_state_of_another_run_is_refused() -> None:
    real = random_images()
    state = initial_state(real, CONFIG)
    with pytest.raises(ValueError, match="state: images_NCHW is"):
        next(condense(real, dataclasses.replace(CONFIG, ipc=3), state=state))
    wide = with_tensor(state, "velocity_NCHW", state.tensors["velocity_NCHW"].double())
    with pytest.raises(ValueError, match=r"state: velocity_NCHW is torch\.float64"):
        next(condense(real, CONFIG, state=wide))
    with pytest.raises(
        ValueError, match="state: tensors images_NCHW, other, velocity_NCHW, but form 'pixels'"
    ):
        next(condense(real, CONFIG, state=with_tensor(state, "other", torch.zeros(1))))
    with pytest.raises(ValueError, match="iteration 13 is outside 0 to 12"):
        next(condense(real, CONFIG, state=dataclasses.replace(state, iteration=13)))


def assert_whole_run(real: LabelledImages, config: CondenseConfig) -> None:
    steps = list(condense(real, config))
    assert len(steps) == config.iterations
    state = steps[-1].state
    assert len(state.tensors["images_NCHW"]) == len(real.classes) * config.ipc
    check_finite(state)
    moved = state.tensors["images_NCHW"] - initial_state(real, config).tensors["images_NCHW"]
    assert (moved.flatten(1).abs().amax(dim=1) > 0).all(), "every image feels a pull"


@pytest.mark.parametrize("per_class", [(400, 40, 4), (30, 3, 30), (12, 12), (1, 1)])
def test_sets_as_users_have_them(per_class: tuple[int, ...]) -> None:
    """Imbalanced; a class of 3; two classes; one image each: fewer than the batch, and than ipc."""
    config = dataclasses.replace(CONFIG, ipc=5, iterations=2, batch_real=32, init="noise")
    assert_whole_run(random_images(per_class), config)


def test_a_thousand_classes() -> None:
    # From noise: two of three real images may well have the very mean of a batch of four.
    network = NetworkConfig(width=8, depth=2)
    config = CondenseConfig(ipc=2, iterations=1, batch_real=4, init="noise", network=network)
    assert_whole_run(random_images((3,) * 1000), config)


def test_only_what_embeds_is_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference that draws whole networks, classifier and all, gives the same bits: see above."""
    drawn: list[nn.Module] = []

    def initialised(module: nn.Module, chance: torch.Generator) -> None:
        drawn.append(module)
        initialise(module, chance)

    monkeypatch.setattr(fresh, "initialise", initialised)
    last(random_images(), dataclasses.replace(CONFIG, iterations=3))
    assert len(drawn) == 3
    assert not any(isinstance(layer, nn.Linear) for module in drawn for layer in module.modules())
