"""The loss curve of a condensation on its way to the database, and its progress reports."""

import math
import time
from typing import Any

from torch import Tensor

from core.engine.condense import Step
from core.engine.errors import NumericalError
from core.kinds.condense.curves import Accuracies
from core.kinds.device import memory_bytes
from core.kinds.work import Point, Work

#: Points of a loss curve, whatever the number of iterations.
CURVE_POINTS = 1000

#: What stays true of a progress report while the images are evaluated.
STAYS = ("loss", "seconds_per_iteration", "memory_bytes")


class LossCurve:
    """The loss curve on its way to the database: reading a loss waits for the device, so seldom."""

    def __init__(
        self, work: Work, iterations: int, start: int, expected: dict[str, Any] | None, accuracies: Accuracies
    ) -> None:
        self._work = work
        self._iterations = iterations
        self._start = start
        self._kept = {"estimate": expected}  # for whoever reads the job, not in every event
        self._accuracies = accuracies
        # A resumed attempt may evaluate before its first iteration.
        self._reported = {name: value for name, value in work.progress.items() if name in STAYS}
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
        per_iteration = (time.monotonic() - self._began) / (done - self._start)
        self._reported = {
            "loss": last,
            "seconds_per_iteration": per_iteration,
            "memory_bytes": memory_bytes(self._work.device),
        }
        self._report(
            done,
            points=[
                Point(series="loss", x=iteration, value=loss, seconds=elapsed)
                for iteration, loss, elapsed in points
            ],
        )
        self._points.clear()
        self._last = None

    def report_evaluation(self, iteration: int, evaluating: dict[str, int]) -> None:
        """A progress report if one is due, of the network that is trained on the images at this iteration.

        Raises:
            StopRequested: the attempt was asked to stop.
        """
        if self._work.due():
            now = {name: f"{value:,}" for name, value in evaluating.items()}
            self._report(
                iteration,
                f"; now evaluating its images: network {now['network']} of {now['networks']}, "
                f"epoch {now['epoch']} of {now['epochs']}",
                evaluating=evaluating,
            )
        self._work.stop_if_asked()

    def skip(self, seconds: float) -> None:
        """Of the time that has gone by, so much was not for iterations."""
        self._began += seconds

    def _report(self, done: int, more: str = "", points: list[Point] | None = None, **facts: Any) -> None:
        left = self._reported.get("seconds_per_iteration", 0.0) * (self._iterations - done)
        self._work.report(
            done,
            self._iterations,
            f"iteration {done:,} of {self._iterations:,}{more}",
            seconds_left=left + self._accuracies.seconds_left(),
            step=done,
            points=points or (),
            kept=self._kept,
            iteration=done,
            iterations=self._iterations,
            **self._reported,
            **facts,
        )
