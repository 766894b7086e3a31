"""Why attempts end early, how often that may happen in a row, and how long the next one waits.

A row that kills its workers must not do so for ever, and one that met a full disk must not fail at once.
So each cause counts for itself, until the next checkpoint, evaluation or phase: that is progress.
"""

from dataclasses import dataclass
from typing import Final, Literal

from core.settings import Settings

Cause = Literal["worker_lost", "stalled", "storage_full", "storage_unavailable", "database_unavailable"]


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """`attempts` in a row may end so, None standing for the setting max_attempts; the n-th waits
    `wait_seconds` · 2^(n-1), at most `longest_wait_seconds`."""

    attempts: int | None = None
    wait_seconds: float = 0.0
    longest_wait_seconds: float = 600.0


RETRY_POLICIES: Final[dict[Cause, RetryPolicy]] = {
    "worker_lost": RetryPolicy(),
    "stalled": RetryPolicy(),
    "storage_full": RetryPolicy(attempts=12, wait_seconds=15.0),  # somebody has to make room: about an hour
    "storage_unavailable": RetryPolicy(attempts=12, wait_seconds=5.0),
    "database_unavailable": RetryPolicy(attempts=12, wait_seconds=5.0),
}


def exhausted(cause: Cause, count: int, settings: Settings) -> bool:
    """Whether no retry follows the `count`-th attempt in a row that this cause ended."""
    return count >= (RETRY_POLICIES[cause].attempts or settings.max_attempts)


def wait_seconds(cause: Cause, count: int) -> float:
    policy = RETRY_POLICIES[cause]
    return min(policy.wait_seconds * 2.0 ** (count - 1), policy.longest_wait_seconds)
