"""Why attempts end early, how often that may happen in a row, and how long the next one waits.

A row that kills its workers must not do so for ever, and one that met a full disk must not fail at once.
So each cause counts for itself, until the next checkpoint, evaluation or phase: that is progress.
"""

from dataclasses import dataclass
from typing import Final, Literal

from core.settings import Settings

Cause = Literal["worker_lost", "stalled", "storage_full", "storage_unavailable", "database_unavailable"]


@dataclass(frozen=True, kw_only=True)
class Patience:
    """`attempts` in a row may end so, None standing for the setting max_attempts; the n-th waits
    `wait_seconds` · 2^(n-1), at most `longest_wait_seconds`."""

    attempts: int | None = None
    wait_seconds: float = 0.0
    longest_wait_seconds: float = 600.0


PATIENCE: Final[dict[Cause, Patience]] = {
    "worker_lost": Patience(),
    "stalled": Patience(),
    "storage_full": Patience(attempts=12, wait_seconds=15.0),  # somebody has to make room: about an hour
    "storage_unavailable": Patience(attempts=12, wait_seconds=5.0),
    "database_unavailable": Patience(attempts=12, wait_seconds=5.0),
}


def exhausted(cause: Cause, count: int, settings: Settings) -> bool:
    """Whether the `count`-th setback in a row of this cause is the last."""
    return count >= (PATIENCE[cause].attempts or settings.max_attempts)


def wait_seconds(cause: Cause, count: int) -> float:
    patience = PATIENCE[cause]
    return min(patience.wait_seconds * 2.0 ** (count - 1), patience.longest_wait_seconds)
