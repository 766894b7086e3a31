"""Who is next: of the rows that wait, the one that a free worker is to take.

Jobs go by priority; within one, owners take turns, so that a thousand jobs of one owner hold up nobody:
first the owner with the fewest jobs in work, then the one who has waited longest since a job of theirs
was last started. An owner at the limit of running jobs is passed over. Data sets go the same way, without
priority.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from core.db.models import Dataset, Job
from core.db.types import db_now
from core.jobs.states import DATASET_QUEUE, JOB_HELD, phases_of

_NEVER = datetime.min.replace(tzinfo=UTC)


def next_job(session: Session, phases: Iterable[str], *, running_limit: int) -> str | None:
    """The id of the job to be taken next, for one of `phases`; None if no owner has one that may run.

    Reads one entry of the index for each waiting job, whoever owns it, and no row of a job.
    """
    waiting = (
        select(Job.owner, Job.priority, func.min(Job.id).label("id"))
        .where(Job.state == "queued", Job.phase.in_(tuple(phases)), due(Job))
        .group_by(Job.owner, Job.priority)
    )
    in_work = select(Job.owner, func.count()).where(Job.state.in_(JOB_HELD)).group_by(Job.owner)
    held_by = dict(session.execute(in_work).all())
    heads = [row for row in session.execute(waiting).all() if held_by.get(row.owner, 0) < running_limit]
    if not heads:
        return None
    urgent = max(row.priority for row in heads)
    fewest = min(held_by.get(row.owner, 0) for row in heads if row.priority == urgent)
    tied = [row for row in heads if row.priority == urgent and held_by.get(row.owner, 0) == fewest]
    if len(tied) == 1:
        return str(tied[0].id)
    last_start = {row.owner: _last_start(session, row.owner) for row in tied}
    return str(min(tied, key=lambda row: (last_start[row.owner], row.id)).id)


def next_dataset(session: Session) -> str | None:
    """The id of the data set to be read in next."""
    waiting = (
        select(Dataset.owner, func.min(Dataset.id).label("id"))
        .where(Dataset.state == "ingesting", Dataset.lease_until.is_(None), due(Dataset))
        .group_by(Dataset.owner)
    )
    heads = session.execute(waiting).all()
    in_work = (
        select(Dataset.owner, func.count())
        .where(Dataset.state == "ingesting", Dataset.lease_until.is_not(None))
        .group_by(Dataset.owner)
    )
    busy = dict(session.execute(in_work).all())
    return min((busy.get(row.owner, 0), str(row.id)) for row in heads)[1] if heads else None


def somebody_waits(session: Session, queue: str, *, running_limit: int) -> bool:
    """Whether a worker of this queue would find something to do."""
    if next_job(session, phases_of(queue), running_limit=running_limit):
        return True
    return queue == DATASET_QUEUE and next_dataset(session) is not None


def due(model: type[Job] | type[Dataset]) -> ColumnElement[bool]:
    """Nothing that went wrong before keeps the row waiting."""
    return or_(model.retry_at.is_(None), model.retry_at <= db_now())


def _last_start(session: Session, owner: str) -> datetime:
    return session.scalar(select(func.max(Job.started_at)).where(Job.owner == owner)) or _NEVER
