"""How fast jobs were here, and so how long another one may take."""

from math import log

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db.models import Event, Job
from core.kinds.kind import Cost

RECENT_JOBS = 50
ALIKE = 10.0
"""Iterations that differ in FLOPs by more than this factor say nothing of each other's speed: small networks
on few images are mostly waiting, and show a fraction of what a device can do."""


def measured_speed(session: Session, job: Job) -> dict[str, float]:
    """FLOPs of an iteration of the job's dry run, and FLOPs per second in it; empty if it had none.

    Not of the whole job, which may be too short to show what the device can do.
    """
    runs = select(Event.data).where(Event.subject_id == job.id, Event.type == "estimate")
    found = session.scalar(runs.order_by(Event.seq.desc()).limit(1))
    if found is None:
        return {}
    flops = found["flops_per_iteration"]
    return {"flops_per_iteration": flops, "flops_per_second": flops / found["seconds_per_iteration"]}


def recent_speeds(session: Session) -> list[dict[str, float]]:
    """What `measured_speed` said of the jobs that succeeded last, whoever's they were, the newest first."""
    newest = select(Job.result).where(Job.state == "succeeded").order_by(Job.finished_at.desc())
    results = session.scalars(newest.limit(RECENT_JOBS))
    return [result for result in results if result and result.get("flops_per_iteration")]


def seconds_of(job: Cost, speeds: list[dict[str, float]]) -> float | None:
    """How long a job may take, at the speed of the one whose iterations were most like its own in FLOPs, the
    newest of several; None if none was `ALIKE`, or if it has no iterations to compare by."""
    if not job.flops_per_iteration:
        return None

    def distance(speed: dict[str, float]) -> float:
        return abs(log(speed["flops_per_iteration"] / job.flops_per_iteration))

    nearest = min(speeds, key=distance, default=None)
    if nearest is None or distance(nearest) > log(ALIKE):
        return None
    return job.flops / nearest["flops_per_second"]
