"""Reads and submissions beside the bare endpoint, pages of short and of long histories and lists."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from sqlalchemy import text

from bench.api.stage import OWNER, Stage
from bench.api.wrk import Load, load
from examples.digits import write_zip
from tests.support.api import token_of
from tests.support.leased import add_job
from tests.support.service import Service, upload_dataset

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
    embedded: list[Load]
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


def measure(stage: Stage, folder: Path) -> Requests:
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
        embedded=_submissions_embedded(folder),
        listed=load(f"{jobs}?limit=50", connections=CONNECTIONS, seconds=SECONDS, token=stage.token),
        health=load(f"{stage.service.url}/healthz", connections=16, seconds=SECONDS),
    )


def _submissions_embedded(folder: Path) -> list[Load]:
    """To an API of its own, with SQLite."""
    service = Service(folder / "embedded", CONDENSERY_OWNER_QUEUED_JOBS="1000000")
    try:
        service.start()
        write_zip(folder / "digits.zip")
        with service.client() as client:
            dataset = upload_dataset(client, folder / "digits.zip")
        service.terminate_worker()
        service.wait_for_worker()
        body = json.dumps({"dataset_id": dataset["id"], "ipc": 1, "iterations": 5})
        url = f"{service.url}/v1/jobs"
        load(url, connections=CONNECTIONS, seconds=1, body=body)
        return [load(url, connections=CONNECTIONS, seconds=SECONDS, body=body) for _ in range(PAIRS)]
    finally:
        service.stop()


@dataclass(frozen=True, kw_only=True)
class Page:
    """Seconds of a page in the middle of a short and of a long history or list: medians."""

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

#: Ended ones: workers do not look at them.
_JOBS = """
    INSERT INTO jobs
    SELECT (jsonb_populate_record(one, jsonb_build_object(
        'id', :prefix || lpad(to_hex(n), 16, '0'), 'owner', CAST(:owner AS text), 'state', 'cancelled'
    ))).*
    FROM jobs AS one, generate_series(1, :count) AS n WHERE one.id = :like
"""


def measure_pages(stage: Stage) -> dict[str, Page]:
    """Pages of 100 events, of 100 points of the loss curve and of 50 jobs, short and long in turn."""
    jobs = {}
    for count in (SHORT, LONG):
        with stage.database.writing() as session:
            jobs[count] = add_job(session, owner=OWNER, dataset_id=stage.dataset_id, fence=1).id
        with stage.database.writing() as session:
            for statement in (_EVENTS, _METRICS):
                session.execute(text(statement), {"id": jobs[count], "owner": OWNER, "count": count})
    with stage.database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("VACUUM ANALYZE events, metrics"))
    pages = {
        what: _pages(stage, {n: f"{jobs[n]}/{what}?limit=100&after={n // 2}" for n in jobs}, {}, 100)
        for what in ("events", "metrics")
    }
    return pages | {"jobs": _lists(stage)}


def _lists(stage: Stage) -> Page:
    """Pages in the middle of the lists of two owners."""
    middles, tokens = {}, {}
    for count in (SHORT, LONG):
        owner = f"{OWNER} of {count}"
        tokens[count] = token_of(stage.database, owner, "read")
        prefix = f"job_{count:016x}"
        with stage.database.writing() as session:
            session.execute(
                text(_JOBS), {"like": stage.job_id, "owner": owner, "prefix": prefix, "count": count}
            )
        middles[count] = f"?limit=50&after={prefix}{count // 2:016x}"
    with stage.database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("VACUUM ANALYZE jobs"))
    return _pages(stage, middles, tokens, 50)


def _pages(stage: Stage, paths: dict[int, str], tokens: dict[int, str], rows: int) -> Page:
    """Short and long in turn; without a token of its own, a page is asked for by the stage's owner."""
    seconds: dict[int, list[float]] = {count: [] for count in paths}
    for _ in range(_PAGES):
        for count, path in paths.items():
            url = f"{stage.service.url}/v1/jobs" + (path if path.startswith("?") else f"/{path}")
            headers = {"Authorization": f"Bearer {tokens[count]}"} if tokens else None
            began = time.perf_counter()
            found = stage.http.get(url, headers=headers).raise_for_status().json()["data"]
            seconds[count].append(time.perf_counter() - began)
            if len(found) != rows:
                raise RuntimeError(f"bench: a page of {url} has {len(found)} rows, not {rows}")
    return Page(short=median(seconds[SHORT]), long=median(seconds[LONG]))
