"""Figures about the whole service, for its operators, by queries that a long history makes little slower."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.db.models import Artifact, Blob, Checkpoint, Dataset, Job, Orphan, PooledNetwork, Snapshot
from core.db.types import db_now
from core.kinds import KINDS
from core.vocabulary import DATASET_STATES, INTAKE_QUEUE, JOB_HELD, QUEUES
from core.work.transitions import HELD, INTAKE, Leased

#: Of how many jobs, the last that ended, the durations are those.
RECENT_JOBS: Final = 200


@dataclass(frozen=True, kw_only=True)
class Running:
    """A job in work, as it last reported; None of what its phase does not report."""

    job_id: str
    phase: str
    steps_per_second: float | None
    memory_bytes: int | None


def jobs_by_state(session: Session, states: Iterable[str]) -> dict[str, dict[str, int]]:
    """Of these states, how many jobs of each queue. Reads one entry of the index for each."""
    # Grouped in the order of the index: by state and queue it would be several times slower.
    by_queue = [func.count().filter(Job.queue == queue) for queue in QUEUES]
    counted = select(Job.state, *by_queue).where(Job.state.in_(tuple(states))).group_by(Job.state)
    found = {state: dict(zip(QUEUES, counts, strict=True)) for state, *counts in session.execute(counted)}
    return {state: found.get(state, dict.fromkeys(QUEUES, 0)) for state in states}


def datasets_by_state(session: Session) -> dict[str, int]:
    counted = select(Dataset.state, func.count()).group_by(Dataset.state)
    found = dict(session.execute(counted).all())
    return {state: found.get(state, 0) for state in DATASET_STATES}


def oldest_waiting_seconds(session: Session) -> dict[str, float]:
    """By queue, for how long the row has waited that waits longest; 0 if none waits.

    Of each owner's jobs in a queue, only the one that was made first is looked at.
    """
    first = select(func.min(Job.id)).where(Job.state == "queued").group_by(Job.owner, Job.queue)
    jobs = select(Job.queue, func.min(Job.updated_at)).where(Job.id.in_(first)).group_by(Job.queue)
    since: list[tuple[str, datetime | None]] = [(queue, at) for queue, at in session.execute(jobs)]
    for model, state in INTAKE.items():
        waiting = (model.state == state, model.lease_until.is_(None))
        since.append((INTAKE_QUEUE, session.scalar(select(func.min(model.updated_at)).where(*waiting))))
    now: datetime = session.scalars(select(db_now())).one()
    return {
        queue: max(
            ((now - at).total_seconds() for of, at in since if of == queue and at is not None), default=0.0
        )
        for queue in QUEUES
    }


def datasets_waiting(session: Session) -> int:
    waiting = (Dataset.state == "ingesting", Dataset.lease_until.is_(None))
    return session.scalar(select(func.count()).where(*waiting)) or 0


def running_jobs(session: Session) -> list[Running]:
    columns = select(Job.id, Job.phase, Job.progress).where(Job.state.in_(JOB_HELD)).order_by(Job.id)
    return [_running(row.id, row.phase, row.progress or {}) for row in session.execute(columns)]


def _running(job_id: str, phase: str, progress: dict[str, Any]) -> Running:
    # Until an attempt reports for the first time, the progress is that of the one before.
    current = progress if progress.get("phase") == phase else {}
    seconds = current.get("seconds_per_iteration")
    return Running(
        job_id=job_id,
        phase=phase,
        steps_per_second=1 / seconds if seconds else None,
        memory_bytes=current.get("memory_bytes"),
    )


def overdue_leases(session: Session) -> int:
    """Rows whose worker is silent for longer than its lease: the reaper is about to put them right."""

    def overdue(model: Leased, states: tuple[str, ...]) -> int:
        late = select(func.count()).where(model.state.in_(states), model.lease_until < db_now())
        return session.scalar(late) or 0

    return sum(overdue(model, states) for model, states in HELD.items())


def recent_durations(session: Session) -> dict[str, list[float]]:
    """Seconds of work by phase, sorted, of those jobs that succeeded among the last that ended."""
    newest = (
        select(Job.result["seconds"])
        .where(Job.finished_at.is_not(None))
        .order_by(Job.finished_at.desc())
        .limit(RECENT_JOBS)
    )
    found = [seconds for seconds in session.scalars(newest) if seconds]  # none of a job that failed
    phases = dict.fromkeys(phase.name for kind in KINDS.values() for phase in kind.phases)
    return {phase: sorted(one[phase] for one in found if phase in one) for phase in phases}


def stored_bytes(session: Session) -> dict[str, int]:
    """By kind, what is stored, each file once. Reads every row of these tables."""
    sizes = {
        "upload": Blob.size,
        "dataset": Dataset.size,
        "checkpoint": Checkpoint.size,
        "snapshot": Snapshot.size,
        "artifact": Artifact.size,
        "pool": PooledNetwork.size,
    }
    return {kind: int(session.scalar(select(func.sum(size))) or 0) for kind, size in sizes.items()}


def orphan_files(session: Session) -> int:
    """Files that belonged to nothing when a worker last looked."""
    return session.scalar(select(func.count()).select_from(Orphan)) or 0
