"""The invariants, checked from outside: plain SQL and files, none of the product's own code.

`violations` returns sentences; an empty list is what every fault must leave behind.
"""

import hashlib
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from tests.faults.counting import each_is_counted_once, equal_jobs_agree
from tests.faults.evidence import Evidence, processes_of

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
    # Of data sets and condensed sets:
    "receiving": {"ingesting", "invalid"},
    "ingesting": {"ready", "invalid"},
    "reading": {"ready", "invalid"},
    "ready": set(),
    "invalid": set(),
}
ENDED = ("cancelled", "succeeded", "failed")


def violations(evidence: Evidence) -> list[str]:
    """Of everything that must hold once nothing is being worked on."""
    return [
        *_every_row_has_ended(evidence),
        *_no_attempt_goes_on(evidence),
        *contradictions(evidence),
        *each_is_counted_once(evidence, ALLOWED),
        *equal_jobs_agree(evidence),
        *litter(evidence),
    ]


def contradictions(evidence: Evidence) -> list[str]:
    """Of everything that must hold at any moment, whatever is being worked on."""
    return [
        *_histories_are_paths(evidence),
        *_published_once_and_whole(evidence),
        *_fences_do_not_overlap(evidence),
        *each_is_counted_once(evidence, ("succeeded",)),
    ]


def litter(evidence: Evidence) -> list[str]:
    """Files that belong to nothing, of which a sweep leaves none."""
    return [
        *_every_blob_has_its_row(evidence),
        *_nothing_temporary(evidence),
        *_unfinished_uploads_are_known(evidence),
    ]


def _every_row_has_ended(evidence: Evidence) -> Iterator[str]:
    """I1, for a service at rest."""
    for job in evidence.rows("jobs"):
        if job["state"] not in (*ENDED, "paused"):
            yield f"{job['id']} is stuck in {job['state']}"
        if job["lease_until"] is not None:
            yield f"{job['id']} is {job['state']} and still leased by {job['worker']}"
        if job["state"] in ENDED and job["finished_at"] is None:
            yield f"{job['id']} has {job['state']} at no time"
    for table in ("datasets", "condensed_sets"):
        for row in evidence.rows(table):
            if row["state"] not in ("ready", "invalid") or row["lease_until"] is not None:
                yield f"{row['id']} is stuck in {row['state']}"
    for trial in evidence.rows("trials"):
        if trial["lease_until"] is not None:
            yield f"{trial['id']} is {trial['state']} and still leased by {trial['worker']}"
        # What a job's own attempt had in hand when the job was stopped stays so: the next one takes it back.
        elif trial["state"] == "running" and trial["job_fence"] is None:
            yield f"{trial['id']} is running in nobody's hands"


def _histories_are_paths(evidence: Evidence) -> Iterator[str]:
    """I5, and that no event is missing or there twice."""
    by_subject: dict[str, list[dict[str, Any]]] = {}
    for event in evidence.rows("events"):
        by_subject.setdefault(event["subject_id"], []).append(event)
    for row in (row for table in ("jobs", "datasets", "condensed_sets") for row in evidence.rows(table)):
        events = sorted(by_subject.pop(row["id"], []), key=lambda event: event["seq"])
        if [event["seq"] for event in events] != list(range(1, row["event_seq"] + 1)):
            yield f"{row['id']} has the events {[event['seq'] for event in events]} of {row['event_seq']}"
        states = [event["type"] for event in events if event["type"] in ALLOWED]
        for before, after in pairwise(states):
            if after not in ALLOWED[before]:
                yield f"{row['id']} went from {before} to {after}: {states}"
        if states and states[-1] != row["state"]:
            yield f"{row['id']} is {row['state']}, but its history ends in {states[-1]}"
    yield from (f"events of {subject}, which is gone" for subject in by_subject)


def _published_once_and_whole(evidence: Evidence) -> Iterator[str]:
    """I2 and I3: what is offered is there, byte for byte, and of one attempt."""
    of_jobs: dict[str, list[dict[str, Any]]] = {}
    of_sets: dict[str, list[dict[str, Any]]] = {}
    for one in evidence.rows("artifacts"):
        for by_maker, maker in ((of_jobs, one["job_id"]), (of_sets, one["condensed_set_id"])):
            if maker is not None:
                by_maker.setdefault(maker, []).append(one)
        yield from _differs(evidence, one["id"], one["blob_key"], one["size"], one["sha256"])
    sets = evidence.rows("condensed_sets")
    made = {row["job_id"] for row in sets}
    for job in evidence.rows("jobs"):
        # A set that a job has made takes its files along when its owner deletes it.
        offers = job["state"] == "succeeded" and (job["kind"] != "condense" or job["id"] in made)
        yield from _offered(job, of_jobs.pop(job["id"], []), offers)
    for row in sets:
        offered = of_sets.pop(row["id"], [])
        yield from _offered(row, offered, row["state"] == "ready")
        for one in offered:
            if not one["blob_key"].startswith(f"{row['blob_prefix']}/") or one["job_id"] != row["job_id"]:
                yield f"{row['id']} offers {one['blob_key']} of {one['job_id']}, which is not its own"
    yield from (f"artifacts of {maker}, which is gone" for maker in (*of_jobs, *of_sets))
    for blob in evidence.rows("blobs"):
        yield from _differs(evidence, blob["file_key"], blob["file_key"], blob["size"], blob["sha256"])
    for kind in ("checkpoints", "snapshots"):
        for one in evidence.rows(kind):
            name = f"{kind} {one['iteration']} of {one['job_id']}"
            yield from _differs(evidence, name, one["blob_key"], one["size"], one["sha256"])


def _offered(row: dict[str, Any], artifacts: list[dict[str, Any]], offers: bool) -> Iterator[str]:
    if offers != bool(artifacts):
        yield f"{row['id']} is {row['state']} and offers {len(artifacts)} artifacts"
    if len({one["fence"] for one in artifacts}) > 1:
        yield f"{row['id']} offers artifacts of several attempts"


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
    # A trial of a curve is kept once it is done; others are offered before, to every worker.
    trials = [
        {**row, "created_at": row["finished_at"], "fence": row["job_fence"] or row["fence"]}
        for row in evidence.rows("trials")
        if row["state"] == "done" and (row["group"] == "curve" or row["job_fence"])
    ]
    for written in (*evidence.rows("metrics"), *evidence.rows("snapshots"), *trials):
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
    known |= {row["selection_key"] for row in evidence.rows("trials") if row["selection_key"]}
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
