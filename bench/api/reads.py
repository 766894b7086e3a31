"""Reads and submissions beside the bare endpoint, and pages of short and of long histories."""

import json
import time
from dataclasses import dataclass
from statistics import median

from sqlalchemy import text

from bench.api.stage import OWNER, Stage
from bench.api.wrk import Load, load
from tests.support.leased import add_job

PAIRS = 5
SECONDS = 3
CONNECTIONS = 8
LONG, SHORT = 1_000_000, 1_000
_PAGES = 60


@dataclass(frozen=True, kw_only=True)
class Requests:
    """Runs of wrk: pairs of ours and the bare endpoint's read, submissions, and single ones of the rest."""

    pairs: list[tuple[Load, Load]]
    submits: list[Load]
    listed: Load
    health: Load

    @property
    def read_ratio(self) -> float:
        """Rate of our job read by the bare endpoint's: median of the pairs'."""
        return median(ours.rate / bare.rate for ours, bare in self.pairs)

    @property
    def submit_ratio(self) -> float:
        """p99 of a submission by that of the bare endpoint's read: medians."""
        return median(one.p99 for one in self.submits) / median(bare.p99 for _, bare in self.pairs)


def measure(stage: Stage) -> Requests:
    """Ours, the bare endpoint and a submission take turns, after one turn that does not count."""
    jobs = f"{stage.service.url}/v1/jobs"
    body = json.dumps({"dataset_id": stage.dataset_id, "ipc": 1, "iterations": 5})

    def turn(seconds: float) -> tuple[Load, Load, Load]:
        return (
            load(stage.job, connections=CONNECTIONS, seconds=seconds, token=stage.token),
            load(stage.bare, connections=CONNECTIONS, seconds=seconds),
            load(jobs, connections=CONNECTIONS, seconds=seconds, token=stage.token, body=body),
        )

    turn(1)
    turns = [turn(SECONDS) for _ in range(PAIRS)]
    return Requests(
        pairs=[(ours, bare) for ours, bare, _ in turns],
        submits=[submit for _, _, submit in turns],
        listed=load(f"{jobs}?limit=50", connections=CONNECTIONS, seconds=SECONDS, token=stage.token),
        health=load(f"{stage.service.url}/healthz", connections=16, seconds=SECONDS),
    )


@dataclass(frozen=True, kw_only=True)
class Page:
    """Seconds of a page in the middle of a short and of a long history: medians."""

    short: float
    long: float

    @property
    def ratio(self) -> float:
        """Long by short."""
        return self.long / self.short


_EVENTS = """
    INSERT INTO events (subject_id, seq, owner, type, data, created_at)
    SELECT :id, n, :owner, 'progress', jsonb_build_object('iteration', n, 'loss', 0.5), clock_timestamp()
    FROM generate_series(2, :count) AS n
"""
_METRICS = """
    INSERT INTO metrics (job_id, fence, iteration, owner, loss, seconds, created_at)
    SELECT :id, 1, n, :owner, 0.5, n, clock_timestamp() FROM generate_series(1, :count) AS n
"""


def measure_pages(stage: Stage) -> dict[str, Page]:
    """Pages of 100 events and of 100 points of the loss curve, short and long in turn."""
    jobs = {}
    for count in (SHORT, LONG):
        with stage.database.writing() as session:
            jobs[count] = add_job(session, owner=OWNER, dataset_id=stage.dataset_id, fence=1).id
        with stage.database.writing() as session:
            for statement in (_EVENTS, _METRICS):
                session.execute(text(statement), {"id": jobs[count], "owner": OWNER, "count": count})
    with stage.database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("VACUUM ANALYZE events, metrics"))
    return {what: _pages(stage, what, jobs[SHORT], jobs[LONG]) for what in ("events", "metrics")}


def _pages(stage: Stage, what: str, short: str, long: str) -> Page:
    seconds: dict[str, list[float]] = {short: [], long: []}
    for _ in range(_PAGES):
        for job_id, count in ((short, SHORT), (long, LONG)):
            began = time.perf_counter()
            url = f"{stage.service.url}/v1/jobs/{job_id}/{what}?limit=100&after={count // 2}"
            found = stage.http.get(url).raise_for_status().json()["data"]
            seconds[job_id].append(time.perf_counter() - began)
            if len(found) != 100:
                raise RuntimeError(f"bench: a page of {what} has {len(found)} rows, not 100")
    return Page(short=median(seconds[short]), long=median(seconds[long]))
