"""Drives the training of one network: progress events, and a stop at once when asked."""

from collections.abc import Callable, Generator
from typing import Any, TypeVar

from core.engine.evaluate import Progress
from worker.attempt import Attempt

Trained = TypeVar("Trained")


def to_the_end(attempt: Attempt, steps: Generator[Progress, None, Trained], about: dict[str, Any]) -> Trained:
    """What the training returns. `about` goes into each progress event: which network, for what.

    Raises:
        StopRequested: at once.
    """
    return finish(steps, lambda at: tell(attempt, about, at.epoch, at.epochs))


def finish(steps: Generator[Progress, None, Trained], told: Callable[[Progress], None]) -> Trained:
    """What the training returns. `told` is called after each of its steps, and may end it by raising."""
    while True:
        try:
            at = next(steps)
        except StopIteration as finished:
            trained: Trained = finished.value
            return trained
        told(at)


def tell(attempt: Attempt, about: dict[str, Any], epoch: int, epochs: int) -> None:
    """A progress event if one is due.

    Raises:
        StopRequested: the attempt was told to stop.
    """
    if attempt.due():
        with attempt.writing() as session:
            attempt.progress(session, {"phase": "evaluate", **about, "epoch": epoch, "epochs": epochs})
    attempt.stop_if_told()
