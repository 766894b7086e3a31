"""The invariants, checked from outside: plain SQL and files, none of the product's own code.

`violations` returns sentences; an empty list is what every fault must leave behind.
"""

import hashlib
import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg

#: Written down here once more on purpose: a fault of the product's table must not hide itself.
ALLOWED = {
    "queued": {"running", "paused", "cancelled", "failed"},
    "running": {"queued", "pausing", "cancelling", "succeeded", "failed"},
    "pausing": {"paused", "cancelling", "succeeded", "failed"},
    "paused": {"queued", "cancelled"},
    "cancelling": {"cancelled", "failed"},
    "cancelled": set(),
    "succeeded": set(),
    "failed": set(),
}
ENDED = ("cancelled", "succeeded", "failed")


class Evidence:
    """A service's database and files, as they lie there. Without an address: the database among the files."""

    def __init__(self, data_dir: Path, database_url: str | None) -> None:
        self.data_dir = data_dir
        self._url = database_url or f"sqlite:///{data_dir / 'condensery.db'}"

    def rows(self, table: str) -> list[dict[str, Any]]:
        query = f"SELECT * FROM {table}"
        if self._url.startswith("sqlite"):
            with sqlite3.connect(self._url.partition(":///")[2]) as connection:
                connection.row_factory = sqlite3.Row
                return [dict(row) for row in connection.execute(query)]
        with psycopg.connect(self._url.replace("+psycopg", ""), row_factory=psycopg.rows.dict_row) as found:
            return list(found.execute(query.encode()))

    def blob(self, key: str) -> Path:
        return self.data_dir / "blobs" / key

    def blobs(self) -> set[str]:
        root = self.data_dir / "blobs"
        return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def violations(evidence: Evidence) -> list[str]:
    """Of everything that must hold once nothing is being worked on."""
    return [
        *_every_job_has_ended(evidence),
        *_no_attempt_goes_on(evidence),
        *contradictions(evidence),
        *litter(evidence),
    ]


def contradictions(evidence: Evidence) -> list[str]:
    """Of everything that must hold at any moment, whatever is being worked on."""
    return [
        *_histories_are_paths(evidence),
        *_published_once_and_whole(evidence),
        *_fences_do_not_overlap(evidence),
    ]


def litter(evidence: Evidence) -> list[str]:
    """Files that belong to nothing, of which a sweep leaves none."""
    return [
        *_every_blob_has_its_row(evidence),
        *_nothing_temporary(evidence),
        *_unfinished_uploads_are_known(evidence),
    ]


def _every_job_has_ended(evidence: Evidence) -> Iterator[str]:
    """I1, for a service at rest."""
    for job in evidence.rows("jobs"):
        if job["state"] not in (*ENDED, "paused"):
            yield f"{job['id']} is stuck in {job['state']}"
        if job["lease_until"] is not None:
            yield f"{job['id']} is {job['state']} and still leased by {job['worker']}"
        if job["state"] in ENDED and job["finished_at"] is None:
            yield f"{job['id']} has {job['state']} at no time"
    for dataset in evidence.rows("datasets"):
        if dataset["state"] not in ("ready", "invalid") or dataset["lease_until"] is not None:
            yield f"{dataset['id']} is stuck in {dataset['state']}"


def _histories_are_paths(evidence: Evidence) -> Iterator[str]:
    """I5, and that no event is missing or there twice."""
    by_subject: dict[str, list[dict[str, Any]]] = {}
    for event in evidence.rows("events"):
        by_subject.setdefault(event["subject_id"], []).append(event)
    for row in (*evidence.rows("jobs"), *evidence.rows("datasets")):
        events = sorted(by_subject.pop(row["id"], []), key=lambda event: event["seq"])
        if [event["seq"] for event in events] != list(range(1, row["event_seq"] + 1)):
            yield f"{row['id']} has the events {[event['seq'] for event in events]} of {row['event_seq']}"
        if "spec" not in row:
            continue
        states = [event["type"] for event in events if event["type"] in ALLOWED]
        for before, after in pairwise(states):
            if after not in ALLOWED[before]:
                yield f"{row['id']} went from {before} to {after}: {states}"
        if states and states[-1] != row["state"]:
            yield f"{row['id']} is {row['state']}, but its history ends in {states[-1]}"
    yield from (f"events of {subject}, which is gone" for subject in by_subject)


def _published_once_and_whole(evidence: Evidence) -> Iterator[str]:
    """I2 and I3: what is offered is there, byte for byte, and of one attempt."""
    artifacts: dict[str, list[dict[str, Any]]] = {}
    for one in evidence.rows("artifacts"):
        artifacts.setdefault(one["job_id"], []).append(one)
        yield from _differs(evidence, one["id"], one["blob_key"], one["size"], one["sha256"])
    for job in evidence.rows("jobs"):
        offered = artifacts.pop(job["id"], [])
        if (job["state"] == "succeeded") != bool(offered):
            yield f"{job['id']} is {job['state']} and offers {len(offered)} artifacts"
        if len({one["fence"] for one in offered}) > 1:
            yield f"{job['id']} offers artifacts of several attempts"
    yield from (f"artifacts of {job_id}, which is gone" for job_id in artifacts)
    for blob in evidence.rows("blobs"):
        yield from _differs(evidence, blob["file_key"], blob["file_key"], blob["size"], blob["sha256"])
    for kind in ("checkpoints", "snapshots"):
        for one in evidence.rows(kind):
            name = f"{kind} {one['iteration']} of {one['job_id']}"
            yield from _differs(evidence, name, one["blob_key"], one["size"], one["sha256"])


def _differs(evidence: Evidence, name: str, key: str, size: int, sha256: str) -> Iterator[str]:
    try:
        content = evidence.blob(key).read_bytes()
    except FileNotFoundError:
        yield f"{name}: its file {key} is gone"
        return
    if len(content) != size:
        yield f"{name}: {len(content)} bytes instead of {size}"
    elif hashlib.sha256(content).hexdigest() != sha256:
        yield f"{name}: its bytes are not those of its SHA-256"


def _fences_do_not_overlap(evidence: Evidence) -> Iterator[str]:
    """I4: once attempt k + 1 has written, attempt k writes nothing more."""
    spans: dict[str, dict[int, tuple[Any, Any]]] = {}
    for written in (
        row
        for table in ("metrics", "accuracy_points", "evaluations", "snapshots")
        for row in evidence.rows(table)
    ):
        of_job = spans.setdefault(written["job_id"], {})
        at = written["created_at"]
        first, last = of_job.get(written["fence"], (at, at))
        of_job[written["fence"]] = (min(first, at), max(last, at))
    for job_id, by_fence in spans.items():
        fences = sorted(by_fence)
        for before, after in pairwise(fences):
            if by_fence[before][1] > by_fence[after][0]:
                yield f"{job_id}: attempt {before} wrote after attempt {after} had begun to"


def _every_blob_has_its_row(evidence: Evidence) -> Iterator[str]:
    known = {row["file_key"] for row in evidence.rows("blobs")}
    known |= {
        row["blob_key"] for table in ("artifacts", "checkpoints", "snapshots") for row in evidence.rows(table)
    }
    folders = {row["blob_prefix"] for row in evidence.rows("datasets") if row["blob_prefix"]}
    for key in sorted(evidence.blobs() - known):
        if not any(key.startswith(f"{folder}/") for folder in folders):
            yield f"the blob {key} belongs to nothing"


def _nothing_temporary(evidence: Evidence) -> Iterator[str]:
    """I7, for files."""
    for entry in sorted((evidence.data_dir / "tmp").iterdir()):
        yield f"tmp/{entry.name} was left behind"


def _unfinished_uploads_are_known(evidence: Evidence) -> Iterator[str]:
    folder = evidence.data_dir / "partial"
    found = {path.name.partition(".")[0] for path in folder.iterdir()} if folder.exists() else set()
    known = {row["id"] for row in evidence.rows("uploads") if row["sha256"] is None}
    yield from (f"partial/{name} belongs to nothing" for name in sorted(found - known))


def _no_attempt_goes_on(evidence: Evidence) -> Iterator[str]:
    """I7, for processes: at rest no device is in use."""
    yield from (f"still runs: {one}" for one in processes_of(evidence.data_dir) if "worker.runner" in one)


def processes_of(data_dir: Path) -> list[str]:
    """I7, for processes: whatever still runs with this service's data directory in its environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if str(data_dir).encode() in entry.read_bytes():
                found.append((entry.parent / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found
