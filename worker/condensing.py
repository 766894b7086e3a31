"""The phase `condense`: distribution matching, with progress, checkpoints, snapshots and resume."""

import math
import time
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from core.db.models import Job, Metric
from core.engine.condense import Step, condense
from core.engine.config import CondenseConfig
from core.engine.errors import NumericalError
from core.engine.estimate import estimate
from core.engine.images import LabelledImages
from core.engine.state import CondenseState, initial_state
from core.jobs.spec import JobSpec
from worker import checkpoints
from worker.attempt import Attempt
from worker.device import memory_bytes
from worker.snapshots import Snapshots

#: Points of a loss curve, whatever the number of iterations.
CURVE_POINTS = 1000


def run(attempt: Attempt, job: Job, real: LabelledImages, device: torch.device) -> CondenseState:
    """From the newest checkpoint, or from a dry run and the start, to the last iteration.

    Raises:
        StopRequested: after a checkpoint, or after the dry run.
        NumericalError, OutOfMemory
    """
    spec = JobSpec.model_validate(job.spec)
    config = spec.condense_config()
    snapshots = Snapshots(attempt, real, config.iterations)
    found = checkpoints.load_newest(attempt, job, device)
    if found is not None:
        with attempt.writing() as session:
            attempt.record(session, "resumed", {"iteration": found.iteration}, resumes=Job.resumes + 1)
        state, expected = found, (job.progress or {}).get("estimate")
    else:
        state, expected = _dry_run(attempt, real, config, device)
        snapshots.take(state)
    curve = _Curve(attempt, job, config.iterations, state.iteration, expected, device)
    saved_at = time.monotonic()
    for step in condense(real, config, device=device, state=state):
        if step.state.micro_batch != state.micro_batch:
            _tell_of_halving(attempt, step.iteration, step.micro_batch)
        state = step.state
        curve.add(step)
        if attempt.due():
            curve.flush()
        snapshots.look(state)
        if attempt.told_to_stop or time.monotonic() - saved_at >= attempt.settings.checkpoint_seconds:
            curve.flush()
            checkpoints.save(attempt, state)
            saved_at = time.monotonic()
            attempt.stop_if_told()
    curve.flush()
    checkpoints.save(attempt, state)
    return state


def _dry_run(
    attempt: Attempt, real: LabelledImages, config: CondenseConfig, device: torch.device
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
        attempt.record(session, "estimate", expected, progress=progress)
    if found.halved:
        _tell_of_halving(attempt, 1, found.micro_batch)
        state = replace(state, micro_batch=found.micro_batch)
    attempt.stop_if_told()
    return state, expected


def _tell_of_halving(attempt: Attempt, iteration: int, micro_batch: int) -> None:
    with attempt.writing() as session:
        attempt.record(session, "micro_batch_halved", {"iteration": iteration, "micro_batch": micro_batch})


class _Curve:
    """The loss curve on its way to the database: reading a loss waits for the device, so seldom."""

    def __init__(
        self,
        attempt: Attempt,
        job: Job,
        iterations: int,
        start: int,
        expected: dict[str, Any] | None,
        device: torch.device,
    ) -> None:
        self._attempt = attempt
        self._owner = job.owner
        self._iterations = iterations
        self._start = start
        self._expected = expected
        self._device = device
        self._began = time.monotonic()
        self._every = max(1, iterations // CURVE_POINTS)
        self._points: list[tuple[int, Tensor, float]] = []
        self._last: Step | None = None

    def add(self, step: Step) -> None:
        self._last = step
        if step.iteration % self._every == 0 or step.iteration in (1, self._iterations):
            self._points.append((step.iteration, step.loss, time.monotonic() - self._began))

    def flush(self) -> None:
        if self._last is None:
            return
        done = self._last.iteration
        # No database keeps a NaN, and the engine looks for one only now and then.
        points = [(iteration, loss.item(), elapsed) for iteration, loss, elapsed in self._points]
        last = self._last.loss.item()
        if not all(math.isfinite(loss) for loss in (last, *(loss for _, loss, _ in points))):
            raise NumericalError(f"the loss is not finite by iteration {done}")
        seconds = time.monotonic() - self._began
        per_iteration = seconds / (done - self._start)
        progress = {
            "phase": "condense",
            "iteration": done,
            "iterations": self._iterations,
            "loss": last,
            "seconds_per_iteration": per_iteration,
            "seconds_left": per_iteration * (self._iterations - done),
            "memory_bytes": memory_bytes(self._device),
        }
        lease = self._attempt.lease
        with self._attempt.writing() as session:
            kept = {**progress, "estimate": self._expected}  # for whoever reads the job, not in every event
            self._attempt.progress(session, progress, iteration=done, progress=kept)
            session.add_all(
                Metric(
                    job_id=lease.row_id, owner=self._owner, fence=lease.fence,
                    iteration=iteration, loss=loss, seconds=elapsed,
                )
                for iteration, loss, elapsed in points
            )  # fmt: skip
        self._points.clear()
        self._last = None
