"""The phase `condense`: distribution matching, with progress, checkpoints and resume."""

import math
import time

import torch
from torch import Tensor

from core.db.models import Job, Metric
from core.engine.condense import CondenseState, Step, condense, initial_state
from core.engine.errors import NumericalError
from core.engine.images import LabelledImages
from core.jobs.spec import JobSpec
from worker import checkpoints
from worker.attempt import Attempt

#: Points of a loss curve, whatever the number of iterations.
CURVE_POINTS = 1000


def run(attempt: Attempt, job: Job, real: LabelledImages, device: torch.device) -> CondenseState:
    """From the newest checkpoint, or from the start, to the last iteration.

    Raises:
        StopRequested: after a checkpoint.
    """
    spec = JobSpec.model_validate(job.spec)
    config = spec.condense_config()
    found = checkpoints.load_newest(attempt, job, device)
    if found is not None:
        with attempt.writing() as session:
            attempt.record(session, "resumed", {"iteration": found.iteration}, resumes=Job.resumes + 1)
    state = found or initial_state(real, config, device)
    curve = _Curve(attempt, job, config.iterations, state.iteration)
    saved_at = time.monotonic()
    for step in condense(real, config, device=device, state=state):
        state = step.state
        curve.add(step)
        if attempt.due():
            curve.flush()
        if attempt.told_to_stop or time.monotonic() - saved_at >= attempt.settings.checkpoint_seconds:
            curve.flush()
            checkpoints.save(attempt, state)
            saved_at = time.monotonic()
            attempt.stop_if_told()
    curve.flush()
    checkpoints.save(attempt, state)
    return state


class _Curve:
    """The loss curve on its way to the database: reading a loss waits for the device, so seldom."""

    def __init__(self, attempt: Attempt, job: Job, iterations: int, start: int) -> None:
        self._attempt = attempt
        self._owner = job.owner
        self._iterations = iterations
        self._start = start
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
        }
        lease = self._attempt.lease
        with self._attempt.writing() as session:
            self._attempt.progress(session, progress, iteration=done)
            session.add_all(
                Metric(
                    job_id=lease.row_id, owner=self._owner, fence=lease.fence,
                    iteration=iteration, loss=loss, seconds=elapsed,
                )
                for iteration, loss, elapsed in points
            )  # fmt: skip
        self._points.clear()
        self._last = None
