"""A thousand event streams at one event a second each, and what they cost the reads beside them."""

import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sqlalchemy import text

from bench.api.stage import OWNER, Stage
from bench.api.wrk import Load, load
from bench.upload import resident
from tests.support.leased import add_job
from tests.support.service import ROOT

STREAMS = 1000
#: At rest: connected, and only told that the server lives.
MANY, MANY_SECONDS = 5000, 20
SECONDS = 20
TURNS, PART_SECONDS = 12, 3
CONNECTIONS = 8
#: The events of a second are written in so many transactions.
_PARTS = 20

_WRITE = text(
    """
    WITH moved AS (
        UPDATE jobs SET event_seq = event_seq + 1 WHERE id = ANY(:ids) RETURNING id, event_seq
    )
    INSERT INTO events (subject_id, seq, owner, type, data, created_at)
    SELECT id, event_seq, :owner, 'progress',
           jsonb_build_object('iteration', event_seq, 'loss', 0.5, 'sent', CAST(:sent AS float8)),
           clock_timestamp()
    FROM moved
    """
)


class Writer(threading.Thread):
    """Writes an event a second to each job, spread over the second, until it is told to stop."""

    def __init__(self, stage: Stage, jobs: list[str]) -> None:
        super().__init__()
        self._stage = stage
        self._jobs = jobs
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Each part at its time; one that is late is followed at once by the next."""
        due, part = time.monotonic(), 0
        while not self._stop_asked.wait(max(0.0, due - time.monotonic())):
            with self._stage.database.writing() as session:
                parameters = {"ids": self._jobs[part::_PARTS], "owner": OWNER, "sent": time.time()}
                session.execute(_WRITE, parameters)
            due, part = due + 1 / _PARTS, (part + 1) % _PARTS

    def stop(self) -> None:
        """Write no more."""
        self._stop_asked.set()
        self.join()


@dataclass(frozen=True, kw_only=True)
class Streaming:
    """What the streams' client saw (times in seconds), memory for each of many streams, and reads beside
    streams, each between two without."""

    events: int
    lost: int
    doubled: int
    broken: int
    many_broken: int
    p50: float
    p99: float
    longest: float
    memory: float
    beside: list[Load]
    without: list[Load]

    @property
    def ratios(self) -> list[float]:
        """Rate of reads beside the streams, by the mean of those without them just before and after."""
        without = [(before.rate + after.rate) / 2 for before, after in pairwise(self.without)]
        return [one.rate / other for one, other in zip(self.beside, without, strict=True)]


def measure(stage: Stage) -> Streaming:
    """The streams alone; then reads without them and beside them in turns.

    Events are written all the time, so that only the streams make the difference.
    """

    def reads() -> Load:
        return load(stage.job, connections=CONNECTIONS, seconds=PART_SECONDS, token=stage.token)

    jobs = _new_jobs(stage)
    writer = Writer(stage, jobs)
    writer.start()
    try:
        reads()
        before = resident(stage.service.api_pid, "VmRSS")
        client = open_streams(stage, jobs)
        time.sleep(SECONDS)
        seen = [close_streams(client, None)]
        beside, without = [], [reads()]
        for _ in range(TURNS):
            client = open_streams(stage, jobs)
            beside.append(reads())
            seen.append(close_streams(client, None))
            without.append(reads())
        client = open_streams(stage, jobs)
        writer.stop()
        seen.append(close_streams(client, stage))
    finally:
        writer.stop()
    client = open_streams(stage, _new_jobs(stage) * (MANY // STREAMS))
    time.sleep(MANY_SECONDS)
    memory = (resident(stage.service.api_pid, "VmRSS") - before) / MANY
    many = close_streams(client, None)
    wrong = {name: sum(one[name] for one in seen) for name in ("lost", "doubled", "broken")}
    return Streaming(
        memory=memory, beside=beside, without=without, many_broken=many["broken"], **{**seen[0], **wrong}
    )


def _new_jobs(stage: Stage) -> list[str]:
    with stage.database.writing() as session:
        return [add_job(session, owner=OWNER, dataset_id=stage.dataset_id).id for _ in range(STREAMS)]


def open_streams(stage: Stage, jobs: list[str]) -> "subprocess.Popen[str]":
    """A client that has had the first message of a stream for each job, its last event."""
    with stage.database.reading() as session:
        rows = session.execute(text("SELECT id, event_seq FROM jobs WHERE id = ANY(:ids)"), {"ids": jobs})
        seqs: dict[str, int] = dict(rows.tuples().all())
    command = [sys.executable, "-m", "bench.api.stream_client", str(stage.service.port), stage.token]
    client = subprocess.Popen(  # noqa: S603
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write("\n".join([*(f"{job} {seqs[job] - 1}" for job in jobs), "", ""]))
    client.stdin.flush()
    if client.stdout.readline() != "open\n":
        raise RuntimeError("bench: the streams could not be opened")
    return client


def close_streams(client: "subprocess.Popen[str]", stage: Stage | None) -> dict[str, Any]:
    """What the client saw. With a stage, nothing is being written any more: then the last event of each job
    must have come, too."""
    if stage is not None:
        time.sleep(2)
    out, _ = client.communicate(timeout=30)
    seen = json.loads(out)
    last = seen.pop("last")
    if stage is not None:
        with stage.database.reading() as session:
            rows = session.execute(
                text("SELECT id, event_seq FROM jobs WHERE id = ANY(:ids)"), {"ids": [*last]}
            )
            seen["lost"] += sum(seq - last[job] for job, seq in rows)
    found: dict[str, Any] = seen
    return found
