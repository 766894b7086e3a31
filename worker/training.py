"""Drives the training of one network: progress events, and a stop at once when asked."""

import math
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from core.engine.evaluate import Progress
from worker.attempt import Attempt
from worker.pace import Pace

Trained = TypeVar("Trained")


def to_the_end(
    attempt: Attempt, steps: Generator[Progress, None, Trained], about: dict[str, Any], pace: Pace
) -> Trained:
    """What the training returns. `about` goes into each progress event: which network, for what.

    Raises:
        StopRequested: at once.
    """
    halvings = Halvings(attempt, {"phase": "evaluate", **about})

    def told(at: Progress) -> None:
        halvings.look(at)
        pace.step(at.step / at.steps)
        tell(attempt, about, at.epoch, at.epochs, pace)

    return finish(steps, told)


class Halvings:
    """Tells each time that memory ran out while a network was trained or tested."""

    def __init__(self, attempt: Attempt, about: dict[str, Any]) -> None:
        self._attempt = attempt
        self._about = about
        self._told = math.inf

    def look(self, at: Progress) -> None:
        # A test, which takes less, may fit in larger parts than the training before it.
        if at.micro_batch is not None and at.micro_batch < self._told:
            self._told = at.micro_batch
            with self._attempt.writing() as session:
                found = {**self._about, "micro_batch": at.micro_batch}
                self._attempt.record(session, "micro_batch_halved", found)


def finish(steps: Generator[Progress, None, Trained], told: Callable[[Progress], None]) -> Trained:
    """What the training returns. `told` is called after each of its steps, and may end it by raising."""
    while True:
        try:
            at = next(steps)
        except StopIteration as finished:
            trained: Trained = finished.value
            return trained
        told(at)


def tell(attempt: Attempt, about: dict[str, Any], epoch: int, epochs: int, pace: Pace) -> None:
    """A progress event if one is due; how long the phase still takes is in it once that can be judged.

    Raises:
        StopRequested: the attempt was told to stop.
    """
    if attempt.due():
        progress = {"phase": "evaluate", **about, "epoch": epoch, "epochs": epochs}
        left = pace.seconds_left()
        if left is not None:
            progress["seconds_left"] = left
        with attempt.writing() as session:
            attempt.progress(session, progress)
    attempt.stop_if_told()
