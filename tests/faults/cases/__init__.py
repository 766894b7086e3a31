"""The fault matrix: what is done to the service, and what must come of it.

Each case starts from a service at rest and returns once its jobs have ended as they must; then the checker
looks. The numbers are those of docs/reliability.md. To add one: a function in the file of what fails.
"""

from tests.faults.cases import (
    api,
    broker,
    clocks,
    condensed_sets,
    database,
    points,
    requests,
    storage,
    trials,
    workers,
)
from tests.faults.cases.matrix import BOTH, CASES, Case

__all__ = [
    "BOTH",
    "CASES",
    "Case",
    "api",
    "broker",
    "clocks",
    "condensed_sets",
    "database",
    "points",
    "requests",
    "storage",
    "trials",
    "workers",
]
