"""The loop over any form and objective, against a plain loop with torch's own SGD."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from core.engine.augment import apply, draw
from core.engine.condense import condense
from core.engine.config import CondenseConfig, EvaluateConfig, NetworkConfig
from core.engine.evaluate import train_and_score
from core.engine.forms import FORMS
from core.engine.forms.form import Form, load_form
from core.engine.networks.build import build
from core.engine.sampling import sample
from core.engine.seeds import generator
from core.engine.state import CondenseState, check_fits, decoded, initial_state, stored

from .problems import random_images, with_tensor
from .toys import Halves, Moments, let_in

REAL = random_images((20, 9, 20), channels=3)
TINY = NetworkConfig(width=4, depth=2)
CONFIG = CondenseConfig(ipc=3, iterations=4, batch_real=8, lr=0.3, network=TINY, seed=5)
TOY = {"objective": "moments", "form": "halves"}


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    let_in(monkeypatch)


def toy(**changed: object) -> CondenseConfig:
    return replace(CONFIG, **(TOY | changed))  # type: ignore[arg-type]


def plain_loop(config: CondenseConfig, start: Mapping[str, Tensor]) -> tuple[list[float], dict[str, Tensor]]:
    """No micro-batches: the whole graph from the stored tensors to the loss."""
    leaves = {name: start[name].clone().requires_grad_() for name in Halves.parameters}
    sgd = torch.optim.SGD(leaves.values(), lr=config.resolved_lr, momentum=config.momentum)
    losses = []
    for t in range(config.iterations):
        network = build(TINY, 3, (16, 16), 3, generator(5, t, "network")).requires_grad_(False)
        real_chance, augment_chance = generator(5, t, "real batch"), generator(5, t, "augmentation")
        batches = [REAL.normalised(sample(REAL.indices_by_class[c], 8, real_chance), "cpu") for c in range(3)]
        augmentations = [draw(config.augment, augment_chance, (16, 16)) for _ in range(3)]
        loss = torch.zeros(())
        # Every stored image of a class, then the same ones mirrored: tile-major within the class, too.
        tiles = torch.split(Halves(REAL, config).decode(leaves), len(leaves["shift_N"]))
        own = [torch.cat([tile[c * 3 : c * 3 + 3] for tile in tiles]) for c in range(3)]
        for augmentation, *sides in zip(augmentations, batches, own, strict=True):
            means = [Moments().sums(network.embed(apply(augmentation, x))[None]) / len(x) for x in sides]
            loss = loss + Moments().distance(*means)
        sgd.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        sgd.step()
        losses.append(float(loss.detach()))
    return losses, {name: leaf.detach() for name, leaf in leaves.items()}


#: By default all at once; a class of twelve images in parts.
@pytest.mark.parametrize("micro_batch", [None, 13, 4, 1])
def test_a_toy_form_under_a_toy_objective_is_optimised(micro_batch: int | None) -> None:
    config = toy()
    start = initial_state(REAL, config)
    steps = list(condense(REAL, config, state=start, micro_batch=micro_batch))
    losses, stored = plain_loop(config, start.tensors)
    assert [float(step.loss) for step in steps] == pytest.approx(losses, rel=1e-4)
    for name, tensor in stored.items():
        assert torch.allclose(steps[-1].state.tensors[name], tensor, rtol=0, atol=1e-4), name
        assert (tensor - start.tensors[name]).abs().max() > 1e-2, "it was moved"


def test_it_resumes_bit_for_bit() -> None:
    config = toy()
    whole = list(condense(REAL, config))
    kept = whole[1].state
    state = CondenseState(tensors={n: one.clone() for n, one in kept.tensors.items()}, iteration=2)
    *_, resumed = condense(REAL, config, state=state)
    for name, tensor in whole[-1].state.tensors.items():
        assert torch.equal(resumed.state.tensors[name], tensor), name
    forgetful = with_tensor(kept, "shift_velocity_N", torch.zeros_like(kept.tensors["shift_velocity_N"]))
    *_, other = condense(REAL, config, state=forgetful)
    assert not torch.equal(other.state.tensors["shift_N"], whole[-1].state.tensors["shift_N"])


def test_what_it_decodes_to_trains_a_network() -> None:
    config = toy()
    assert config.images_per_class == 12
    *_, last = condense(REAL, config)
    images_NCHW, labels_N = decoded(last.state, REAL, config)
    assert images_NCHW.shape == (36, 3, 16, 16) and not images_NCHW.requires_grad
    assert labels_N.tolist() == ([0] * 3 + [1] * 3 + [2] * 3) * 4
    training = train_and_score((images_NCHW, labels_N), REAL, EvaluateConfig(network=TINY, epochs=1), 0)
    assert len(list(training)) == 1


def test_tensors_of_another_form_are_refused() -> None:
    with pytest.raises(ValueError, match="form 'halves' has shift_N, shift_velocity_N, small_NCHW,"):
        check_fits(initial_state(REAL, CONFIG), REAL, toy())
    state = initial_state(REAL, toy())
    with pytest.raises(ValueError, match=r"small_NCHW is torch.float32 \(9, 3, 8, 8\).*\(12, 3, 8, 8\)"):
        check_fits(state, REAL, toy(ipc=4))


@pytest.mark.parametrize("name", [*FORMS, "halves"])
def test_every_form_keeps_what_it_promises(name: str) -> None:
    config = replace(CONFIG, form=name)
    form: Form = load_form(REAL, config)
    state = initial_state(REAL, config)
    check_fits(state, REAL, config)
    images_NCHW, labels_N = decoded(state, REAL, config)
    assert images_NCHW.shape == (3 * config.images_per_class, 3, 16, 16)
    assert torch.equal(images_NCHW, decoded(state, REAL, config)[0])
    assert stored(state, REAL, config)[0].shape == (3 * config.ipc, 3, 16, 16)
    # A class's images depend on its own rows alone: another class's may lie in another process.
    for parameter in form.parameters:
        changed = state.tensors[parameter].clone()
        changed[config.ipc :] += 1
        after_NCHW, _ = decoded(with_tensor(state, parameter, changed), REAL, config)
        same_N = (images_NCHW == after_NCHW).flatten(1).all(dim=1)
        assert torch.equal(same_N, labels_N == 0)
