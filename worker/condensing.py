"""The phase `condense`: matching, with progress, checkpoints, snapshots, evaluations, and resume."""

import time
from dataclasses import asdict, replace
from typing import Any

import torch

from core.db.models import Job
from core.engine.condense import condense
from core.engine.config import CondenseConfig
from core.engine.estimate import estimate
from core.engine.images import LabelledImages
from core.engine.state import CondenseState, initial_state
from core.jobs.spec import JobSpec
from worker import checkpoints
from worker.accuracies import Accuracies
from worker.attempt import Attempt
from worker.device import environment
from worker.environments import condensing_on
from worker.loss_curve import LossCurve
from worker.snapshots import Snapshots


def run(
    attempt: Attempt, job: Job, real: LabelledImages, test: LabelledImages, device: torch.device
) -> CondenseState:
    """From the newest checkpoint, or from a dry run and the start, to the last iteration.

    Args:
        test: for the evaluations on the way; what is condensed depends on `real` alone.

    Raises:
        StopRequested: after a checkpoint, or after the dry run.
        NumericalError, OutOfMemory
    """
    spec = JobSpec.model_validate(job.spec)
    config = spec.condense_config()
    snapshots = Snapshots(attempt, real, config.iterations)
    accuracies = Accuracies(attempt, job, real, test, device)
    found = checkpoints.load_newest(attempt, job, device)
    if found is not None:
        done = found.iteration
        here = {} if done == config.iterations else {"result": _on(job, device, done)}
        with attempt.writing() as session:
            attempt.record(session, "resumed", {"iteration": done}, resumes=Job.resumes + 1, **here)
        state, expected = found, (job.progress or {}).get("estimate")
    else:
        state, expected = _dry_run(attempt, job, real, config, device)
        snapshots.take(state)
    curve = LossCurve(attempt, job, config.iterations, state.iteration, expected, device, accuracies)
    accuracies.look(state, curve)  # the attempt before may have ended in the middle of them
    saved_at = time.monotonic()
    for step in condense(real, config, device=device, state=state):
        if step.state.micro_batch != state.micro_batch:
            _tell_of_halving(attempt, step.iteration, step.micro_batch)
        state = step.state
        curve.add(step)
        if attempt.due():
            curve.flush()
        snapshots.look(state)
        evaluates = accuracies.are_due(state)
        late = time.monotonic() - saved_at >= attempt.settings.checkpoint_seconds
        if evaluates or attempt.told_to_stop or late:
            curve.flush()
            checkpoints.save(attempt, state)
            attempt.stop_if_told()
            accuracies.look(state, curve)
            saved_at = time.monotonic()
    curve.flush()
    checkpoints.save(attempt, state)
    return state


def _on(job: Job, device: torch.device, done: int) -> dict[str, Any]:
    """The job's result once this device goes on after so many iterations."""
    return condensing_on(job.result, environment(device), done)


def _dry_run(
    attempt: Attempt, job: Job, real: LabelledImages, config: CondenseConfig, device: torch.device
) -> tuple[CondenseState, dict[str, Any]]:
    """The state to start from, and what is to be expected; too little memory shows here, not hours later."""
    state = initial_state(real, config, device)
    found = estimate(real, config, state, device)
    expected = asdict(found)
    progress = {
        "phase": "condense",
        "iteration": 0,
        "iterations": config.iterations,
        "seconds_per_iteration": found.seconds_per_iteration,
        "seconds_left": found.seconds,
        "estimate": expected,
    }
    with attempt.writing() as session:
        attempt.record(session, "estimate", expected, progress=progress, result=_on(job, device, 0))
    if found.halved:
        _tell_of_halving(attempt, 1, found.micro_batch)
        state = replace(state, micro_batch=found.micro_batch)
    attempt.stop_if_told()
    return state, expected


def _tell_of_halving(attempt: Attempt, iteration: int, micro_batch: int) -> None:
    with attempt.writing() as session:
        attempt.record(session, "micro_batch_halved", {"iteration": iteration, "micro_batch": micro_batch})
