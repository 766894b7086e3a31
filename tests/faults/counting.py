"""Of trials: each network is counted once, whoever trained it, and comes to what it came to elsewhere."""

import json
from collections import Counter
from collections.abc import Container, Iterator
from typing import Any

from tests.faults.evidence import Evidence, from_json

_Row = dict[str, Any]
#: Besides the baselines: the images themselves, and as their PNG files have them.
_OF_THE_SET = 2


def each_is_counted_once(evidence: Evidence, states: Container[str]) -> Iterator[str]:
    """However many workers trained some, and whoever died: of a job in one of these states, each network that
    is done has one result, and one event that says so; of one that succeeded, all are done."""
    told, began_anew = _told(evidence)
    by_job = _by_job(evidence)
    for job in evidence.rows("jobs"):
        if job["state"] not in states:
            continue
        trials = by_job.get(job["id"], [])
        final = [row for row in trials if row["group"] == "final"]
        done = Counter(_counted(row, row["accuracy"]) for row in final if row["state"] == "done")
        events = told.get(job["id"], Counter())
        # Images that were damaged are judged again.
        if job["id"] not in began_anew and done != events:
            yield f"{job['id']} has the trials {sorted(done.items())}, and events of {sorted(events.items())}"
        networks = Counter((row["method"], row["network"], row["repeat"]) for row in final)
        if twice := [which for which, times in networks.items() if times > 1]:
            yield f"{job['id']} has more than one trial of {twice}"
        if job["state"] != "succeeded":
            continue
        if unfinished := [row["id"] for row in trials if row["state"] != "done"]:
            yield f"{job['id']} succeeded without the trials {unfinished}"
        if len(networks) != (asked := _asked_for(job)):
            yield f"{job['id']} has trials of {len(networks)} networks, and {asked} were asked for"


def equal_jobs_agree(evidence: Evidence) -> Iterator[str]:
    """I8, for accuracies: jobs that ask for the same of the same images come to the same, bit for bit, so to
    what came of the one that nobody disturbed."""
    pixels = {
        one["condensed_set_id"]: one["sha256"]
        for one in evidence.rows("artifacts")
        if one["format"] == "safetensors"
    }
    by_job = _by_job(evidence)
    known: dict[tuple[Any, ...], tuple[str, list[Any]]] = {}
    for job in sorted(evidence.rows("jobs"), key=lambda row: str(row["id"])):
        on = pixels.get(job["condensed_set_id"])
        if job["kind"] != "condense" and on is None:
            continue  # deleted since
        spec = json.dumps(from_json(job["spec"]), sort_keys=True)
        for row in by_job.get(job["id"], []):
            if row["state"] != "done":
                continue
            which = tuple(row[name] for name in ("group", "step", "method", "network", "protocol", "repeat"))
            found = [row["accuracy"], *(from_json(row[name]) for name in ("per_class", "confusion"))]
            of, first = known.setdefault((job["kind"], spec, job["data_hash"], on, which), (job["id"], found))
            if found != first:
                yield f"{which}: {found[0]} in {job['id']}, {first[0]} in {of}, of the same images"


def _by_job(evidence: Evidence) -> dict[str, list[_Row]]:
    by_job: dict[str, list[_Row]] = {}
    for row in evidence.rows("trials"):
        by_job.setdefault(row["job_id"], []).append(row)
    return by_job


def _told(evidence: Evidence) -> tuple[dict[str, Counter[Any]], set[str]]:
    """By job, the networks that its history has results of; and the jobs that made their images anew."""
    told: dict[str, Counter[Any]] = {}
    began_anew = set()
    for event in evidence.rows("events"):
        data = from_json(event["data"])
        if event["type"] == "evaluated":
            told.setdefault(event["subject_id"], Counter())[_counted(data, data["accuracy"])] += 1
        elif event["type"] == "phase" and data["phase"] == "condense":
            began_anew.add(event["subject_id"])
    return told, began_anew


def _counted(row: _Row, accuracy: float) -> tuple[str, str, int, float]:
    return row["method"], row["network"], row["repeat"], accuracy


def _asked_for(job: _Row) -> int:
    """How many networks a job's spec asks for, but for those of curves."""
    spec = from_json(job["spec"])
    wanted = spec.get("evaluation", spec)
    networks = (
        len(spec["architectures"]) if "architectures" in spec else 1 + len(wanted["cross_architecture"])
    )
    chosen = [one for one in wanted["baselines"] if one != "whole"]
    whole = len(wanted["baselines"]) - len(chosen)
    return int(wanted["networks"] * (networks * (_OF_THE_SET + len(chosen)) + whole))
