"""The phase `condense`: matching, with progress, checkpoints, snapshots, evaluations, and resume."""

import time
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from core.engine.condense import condense
from core.engine.config import CondenseConfig
from core.engine.estimate import estimate
from core.engine.pool import Pool, pool_training
from core.engine.state import CondenseState, check_finite, decoded, initial_state
from core.errors import JobError
from core.kinds.condense import pool as pooling
from core.kinds.condense.curves import Accuracies
from core.kinds.condense.progress import LossCurve
from core.kinds.condense.snapshots import Snapshots
from core.kinds.condense.spec import CondenseSpec
from core.kinds.device import environment
from core.kinds.environments import condensing_on
from core.kinds.work import Given, GoBack, Saved, Work

PHASE = "condense"


def run(work: Work) -> None:
    """From the newest checkpoint, or from a dry run and the start, to the last iteration.

    What is condensed depends on the training split alone; the test split is for evaluations on the way.

    Raises:
        StopRequested: after a checkpoint, or after the dry run.
        GoBack: a network of the pool has to be trained again.
        NumericalError, OutOfMemory
    """
    spec: CondenseSpec = work.spec
    config, real, device = spec.condense_config(), work.train, work.device
    pool = _pool(work, config)
    snapshots = Snapshots(work, config)
    accuracies = Accuracies(work)
    found = work.load(device)
    if found is not None:
        state, done = state_of(found), found.step
        work.resumed(done, None if done == config.iterations else _on(work, done))
        expected = work.progress.get("estimate")
    else:
        state, expected = _dry_run(work, config, pool)
        snapshots.take(state)
    curve = LossCurve(work, config.iterations, state.iteration, expected, accuracies)
    accuracies.check(state, curve)  # the attempt before may have ended in the middle of them
    saved_at = time.monotonic()
    for step in condense(real, config, device=device, state=state, pool=pool):
        if step.state.micro_batch != state.micro_batch:
            _report_smaller_batches(work, step.iteration, step.micro_batch)
        state = step.state
        curve.add(step)
        if work.due():
            curve.flush()
        snapshots.check(state)
        evaluates = accuracies.are_due(state)
        late = time.monotonic() - saved_at >= work.checkpoint_seconds
        if evaluates or work.asked_to_stop or late:
            curve.flush()
            save(work, state)
            work.stop_if_asked()
            accuracies.check(state, curve)
            saved_at = time.monotonic()
    curve.flush()
    save(work, state)


def finished_images(given: Given) -> tuple[Tensor, Tensor]:
    """The images after the last iteration, NCHW on the device, and their labels.

    Raises:
        GoBack: their checkpoint is damaged; the one before is whole.
        JobError: no checkpoint is whole.
    """
    spec: CondenseSpec = given.spec
    found = given.load(given.device)
    if found is None:
        raise JobError(
            "the checkpoint of the finished images is missing in the storage", code="checkpoint_lost"
        )
    if found.step != spec.iterations:
        raise GoBack(PHASE)
    config = spec.condense_config()
    return decoded(state_of(found), given.train, config)


def save(work: Work, state: CondenseState) -> None:
    """A state with a NaN is never kept.

    Raises:
        NumericalError, LeaseLost
    """
    check_finite(state)
    # A resumed attempt goes on with what memory sufficed for, and so to the same bits.
    facts = {} if state.micro_batch is None else {"micro_batch": str(state.micro_batch)}
    work.save(Saved(tensors=state.tensors, step=state.iteration, facts=facts))


def state_of(saved: Saved) -> CondenseState:
    found = saved.facts.get("micro_batch")
    return CondenseState(
        tensors=saved.tensors, iteration=saved.step, micro_batch=None if found is None else int(found)
    )


def _on(work: Work, done: int) -> dict[str, Any]:
    """The job's result once this device goes on after so many iterations."""
    return condensing_on(work.result, environment(work.device), done)


def _pool(work: Work, config: CondenseConfig) -> Pool | None:
    """Raises GoBack: a network of it is missing or damaged, and has to be trained again."""
    if config.pool is None:
        return None
    pool = work.pool(pool_training(config))
    if pool is None:
        raise GoBack(pooling.PHASE)
    return pool


def _dry_run(work: Work, config: CondenseConfig, pool: Pool | None) -> tuple[CondenseState, dict[str, Any]]:
    """The state to start from, and what is to be expected; too little memory shows here, not hours later."""
    device: torch.device = work.device
    state = initial_state(work.train, config, device)
    found = estimate(work.train, config, state, device, pool)
    expected = asdict(found)
    work.record("estimate", expected, result=_on(work, 0))
    work.report(
        0,
        config.iterations,
        f"iteration 0 of {config.iterations:,}",
        seconds_left=found.seconds,
        kept={"estimate": expected},
        iteration=0,
        iterations=config.iterations,
        seconds_per_iteration=found.seconds_per_iteration,
    )
    if found.halved:
        _report_smaller_batches(work, 1, found.micro_batch)
        state = replace(state, micro_batch=found.micro_batch)
    work.stop_if_asked()
    return state, expected


def _report_smaller_batches(work: Work, iteration: int, micro_batch: int) -> None:
    work.record("micro_batch_halved", {"iteration": iteration, "micro_batch": micro_batch})
