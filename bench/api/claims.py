"""How long a worker's claim takes in a short and in a long queue."""

import time
from dataclasses import dataclass
from statistics import median

from sqlalchemy import text

from bench.api.stage import OWNER, Stage
from core.vocabulary import TRIAL_QUEUE
from core.work.leases import claim_next
from tests.support.leased import add_job

SHORT, LONG = 10, 10_000
CLAIMS = 100


@dataclass(frozen=True, kw_only=True)
class Claims:
    """Median seconds of a claim."""

    short: float
    long: float

    @property
    def ratio(self) -> float:
        """Long by short."""
        return self.long / self.short


def measure(stage: Stage) -> Claims:
    """Claims with 10 queued jobs, then with 10,000; each claimed job is replaced by another."""
    found = {}
    for length in (SHORT, LONG):
        _empty(stage)
        with stage.database.writing() as session:
            for _ in range(length):
                add_job(session, owner=OWNER, dataset_id=stage.dataset_id)
        _claim(stage)
        found[length] = median(_claim(stage) for _ in range(CLAIMS))
    _empty(stage)
    return Claims(short=found[SHORT], long=found[LONG])


def _claim(stage: Stage) -> float:
    """Claim whichever is next; then one more is queued, and that is not counted."""
    began = time.perf_counter()
    with stage.database.writing() as session:
        taken = claim_next(session, TRIAL_QUEUE, worker="bench", seconds=60, running_limit=LONG)
    seconds = time.perf_counter() - began
    if taken is None:
        raise RuntimeError("bench: no job could be claimed")
    with stage.database.writing() as session:
        add_job(session, owner=OWNER, dataset_id=stage.dataset_id)
    return seconds


def _empty(stage: Stage) -> None:
    """No job waits or runs."""
    statement = "UPDATE jobs SET state = 'cancelled', lease_until = NULL WHERE state IN ('queued', 'running')"
    with stage.database.writing() as session:
        session.execute(text(statement))
    with stage.database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("VACUUM ANALYZE jobs"))
