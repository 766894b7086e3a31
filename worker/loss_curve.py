"""The loss curve of a condensation on its way to the database, and its progress events."""

import math
import time
from typing import Any

import torch
from torch import Tensor

from core.db.models import Job, Metric
from core.engine.condense import Step
from core.engine.errors import NumericalError
from worker.accuracies import Accuracies
from worker.attempt import Attempt
from worker.device import memory_bytes

#: Points of a loss curve, whatever the number of iterations.
CURVE_POINTS = 1000

#: What stays true of a progress event while the images are evaluated.
TOLD = ("loss", "seconds_per_iteration", "memory_bytes")


class LossCurve:
    """The loss curve on its way to the database: reading a loss waits for the device, so seldom."""

    def __init__(
        self,
        attempt: Attempt,
        job: Job,
        iterations: int,
        start: int,
        expected: dict[str, Any] | None,
        device: torch.device,
        accuracies: Accuracies,
    ) -> None:
        self._attempt = attempt
        self._owner = job.owner
        self._iterations = iterations
        self._start = start
        self._expected = expected
        self._device = device
        self._accuracies = accuracies
        # A resumed attempt may evaluate before its first iteration.
        self._told = {name: told for name, told in (job.progress or {}).items() if name in TOLD}
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
            "seconds_left": per_iteration * (self._iterations - done) + self._accuracies.seconds_left(),
            "memory_bytes": memory_bytes(self._device),
        }
        self._told = {name: progress[name] for name in TOLD}
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

    def tell_of_evaluation(self, iteration: int, evaluating: dict[str, int]) -> None:
        """A progress event if one is due, of the network that is trained on the images at this iteration.

        Raises:
            StopRequested: the attempt was told to stop.
        """
        if self._attempt.due():
            left = self._told.get("seconds_per_iteration", 0.0) * (self._iterations - iteration)
            progress = {
                "phase": "condense",
                "iteration": iteration,
                "iterations": self._iterations,
                **self._told,
                "seconds_left": left + self._accuracies.seconds_left(),
                "evaluating": evaluating,
            }
            with self._attempt.writing() as session:
                kept = {**progress, "estimate": self._expected}
                self._attempt.progress(session, progress, progress=kept)
        self._attempt.stop_if_told()

    def skip(self, seconds: float) -> None:
        """Of the time that has gone by, so much was not for iterations."""
        self._began += seconds
