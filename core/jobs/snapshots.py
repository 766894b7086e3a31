"""The pictures of a job's images while they form."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db.models import Job, Snapshot
from core.errors import NotFound


def snapshots_of(session: Session, job: Job) -> list[Snapshot]:
    """By iteration."""
    statement = select(Snapshot).where(Snapshot.job_id == job.id, Snapshot.owner == job.owner)
    return list(session.scalars(statement.order_by(Snapshot.iteration)))


def snapshot_of(session: Session, job: Job, iteration: int) -> Snapshot:
    """Raises NotFound: there is none of this iteration."""
    found = session.get(Snapshot, (job.id, iteration))
    if found is None or found.owner != job.owner:
        raise NotFound(f"{job.id} has no snapshot of iteration {iteration}")
    return found
