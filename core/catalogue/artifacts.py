"""The files that finished jobs offer."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db.models import Artifact, Job


def artifacts_of(session: Session, job: Job) -> list[Artifact]:
    statement = select(Artifact).where(Artifact.job_id == job.id, Artifact.owner == job.owner)
    return list(session.scalars(statement.order_by(Artifact.id)))
