"""Memory runs out: the same iteration again with half the micro-batch, and nothing but rounding changes."""

import dataclasses
import gc
import weakref
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from core.engine.condense import Step, condense
from core.engine.config import CondenseConfig, NetworkConfig
from core.engine.errors import OutOfMemory
from core.engine.memory import is_out_of_memory, with_smaller_batches
from core.engine.state import CondenseState
from tests.support.limited import Limited, limit_convnet

from .problems import random_images

CONFIG = CondenseConfig(ipc=9, iterations=6, batch_real=20, network=NetworkConfig(width=4, depth=2), seed=5)
REAL = random_images((25, 4, 25))


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    return partial(limit_convnet, monkeypatch)


def run(
    *, micro_batch: int | None = None, state: CondenseState | None = None, config: CondenseConfig = CONFIG
) -> list[Step]:
    return list(condense(REAL, config, state=state, micro_batch=micro_batch))


def bits(state: CondenseState) -> tuple[bytes, bytes]:
    return state.tensors["images_NCHW"].numpy().tobytes(), state.tensors["velocity_NCHW"].numpy().tobytes()


def test_a_run_that_was_halved_is_one_that_started_so(limited: Callable[..., None]) -> None:
    whole = run()
    started_small = run(micro_batch=7)
    limited(10)
    halved = run()
    # 60 images are all, and the first try: 60, 30, 15, 7.
    assert [step.micro_batch for step in whole] == [60] * 6
    assert [step.micro_batch for step in halved] == [7] * 6
    assert [step.state.micro_batch for step in halved] == [7] * 6
    assert [step.state.micro_batch for step in started_small] == [None] * 6
    assert bits(halved[-1].state) == bits(started_small[-1].state)
    assert [float(step.loss) for step in halved] == [float(step.loss) for step in started_small]
    assert torch.allclose(
        halved[-1].state.tensors["images_NCHW"], whole[-1].state.tensors["images_NCHW"], rtol=0, atol=1e-4
    )
    assert bits(halved[-1].state) != bits(whole[-1].state), "or the passes were not split"


def test_memory_that_runs_out_later_repeats_only_that_iteration(limited: Callable[..., None]) -> None:
    whole = run()
    limited(10, after=9)
    halved = run()
    # A whole iteration has a pass for each class's real images and one for the synthetic ones.
    assert [step.micro_batch for step in halved] == [60, 60, 7, 7, 7, 7]
    assert [step.state.micro_batch for step in halved] == [None, None, 7, 7, 7, 7]
    assert [step.iteration for step in halved] == list(range(1, 7))
    assert bits(halved[1].state) == bits(whole[1].state)
    continued_small = run(micro_batch=7, state=whole[1].state)
    assert bits(halved[-1].state) == bits(continued_small[-1].state)


def test_a_resumed_run_starts_with_what_was_found_to_fit(limited: Callable[..., None]) -> None:
    limited(10, after=9)
    halved = run()
    limited(1_000)
    resumed = run(state=halved[3].state)
    assert [step.micro_batch for step in resumed] == [7, 7]
    assert bits(resumed[-1].state) == bits(halved[-1].state)
    forgetful = run(state=dataclasses.replace(halved[3].state, micro_batch=None))
    assert bits(forgetful[-1].state) != bits(halved[-1].state)


def test_if_a_single_image_does_not_fit_the_error_says_where(limited: Callable[..., None]) -> None:
    limited(0, after=4)
    with pytest.raises(OutOfMemory, match=r"^out of memory on cpu in iteration 2 with a micro-batch of 1$"):
        run()


def test_a_network_that_couples_samples_is_not_halved(limited: Callable[..., None]) -> None:
    limited(10)
    batch_norm = dataclasses.replace(CONFIG, network=NetworkConfig(width=4, depth=2, norm="batch"))
    with pytest.raises(
        OutOfMemory, match=r"iteration 1 with a micro-batch of 60, which this network does not"
    ):
        run(config=batch_norm)
    assert Limited.passes == 1


def test_what_the_failed_pass_held_is_free_before_the_next_try() -> None:
    held: list[weakref.ref[Tensor]] = []
    free: list[bool] = []

    def work(micro_batch: int) -> int:
        free.extend(ref() is None for ref in held)
        large = torch.zeros(micro_batch)
        held.append(weakref.ref(large))
        if micro_batch > 2:
            raise torch.OutOfMemoryError("no")
        return len(large)

    gc.disable()
    try:
        assert with_smaller_batches(work, 8, least=1, device="cpu", what="work") == (2, 2)
    finally:
        gc.enable()
    assert free == [True, True, True]


def test_a_real_allocation_that_cannot_be_met_is_recognised() -> None:
    with pytest.raises(RuntimeError) as torchs:
        torch.empty(1 << 50, dtype=torch.uint8)
    assert is_out_of_memory(torchs.value)


@pytest.mark.parametrize(
    "error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("no")]
)
def test_another_error_is_raised_as_it_is(error: Exception) -> None:
    tries: list[int] = []

    def work(micro_batch: int) -> None:
        tries.append(micro_batch)
        raise error

    with pytest.raises(type(error), match=str(error)):
        with_smaller_batches(work, 8, least=1, device="cpu", what="work")
    assert tries == [8]


def test_no_micro_batch_below_one() -> None:
    with pytest.raises(ValueError, match="micro_batch: 0 is smaller than 1"):
        run(micro_batch=0)
