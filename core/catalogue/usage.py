"""What an owner uses of the service, and the limits on it."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.db.locks import serialise
from core.db.models import Artifact, Checkpoint, Dataset, Job, PooledNetwork, Snapshot, Upload
from core.errors import QuotaExceeded
from core.settings import Settings
from core.vocabulary import JOB_HELD, JOB_WAITING


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Bytes by kind, and jobs that have not ended. An upload that is still arriving counts as announced;
    the same bytes uploaded twice count twice, although they are stored once."""

    upload_bytes: int
    dataset_bytes: int
    checkpoint_bytes: int
    snapshot_bytes: int
    artifact_bytes: int
    pool_bytes: int
    waiting_jobs: int
    running_jobs: int

    @property
    def stored_bytes(self) -> int:
        of_jobs = self.checkpoint_bytes + self.snapshot_bytes + self.artifact_bytes
        return self.upload_bytes + self.dataset_bytes + self.pool_bytes + of_jobs


def usage_of(session: Session, owner: str) -> Usage:
    def total(size: InstrumentedAttribute[int], of: ColumnElement[bool]) -> int:
        return int(session.scalar(select(func.coalesce(func.sum(size), 0)).where(of)) or 0)

    return Usage(
        upload_bytes=total(Upload.size, Upload.owner == owner),
        dataset_bytes=total(Dataset.size, Dataset.owner == owner),
        checkpoint_bytes=total(Checkpoint.size, Checkpoint.owner == owner),
        snapshot_bytes=total(Snapshot.size, Snapshot.owner == owner),
        artifact_bytes=total(Artifact.size, Artifact.owner == owner),
        pool_bytes=total(PooledNetwork.size, PooledNetwork.owner == owner),
        waiting_jobs=_jobs(session, owner, JOB_WAITING),
        running_jobs=_jobs(session, owner, JOB_HELD),
    )


def admit_job(session: Session, owner: str, settings: Settings) -> None:
    """Keep a place for one more job, until the transaction ends.

    Raises:
        QuotaExceeded: the owner has as many as may wait, or stores as much as may be stored.
    """
    serialise(session, f"jobs of {owner}")
    limit, waiting = settings.owner_queued_jobs, _jobs(session, owner, JOB_WAITING)
    if waiting >= limit:
        raise QuotaExceeded(
            f"{waiting} jobs are queued or paused; the limit is {limit}: let some start, or cancel some",
            code="too_many_jobs",
            limit=limit,
            value=waiting,
        )
    admit_bytes(session, owner, 1, settings)


def admit_bytes(session: Session, owner: str, size: int, settings: Settings) -> None:
    """Keep `size` bytes of room, until the transaction ends.

    Raises:
        QuotaExceeded
    """
    limit = settings.owner_stored_bytes
    if limit is None:
        return
    serialise(session, f"bytes of {owner}")
    stored = usage_of(session, owner).stored_bytes
    if stored + size > limit:
        raise bytes_exceeded(stored, size, limit)


def room_of(session: Session, owner: str, settings: Settings) -> int | None:
    """Bytes that the owner may still store; None if there is no limit."""
    limit = settings.owner_stored_bytes
    return None if limit is None else max(limit - usage_of(session, owner).stored_bytes, 0)


def bytes_exceeded(stored: int, size: int, limit: int) -> QuotaExceeded:
    """What is raised if `size` bytes more than the `stored` ones would be too many."""
    return QuotaExceeded(
        f"{stored} bytes are stored; {size} more would exceed the limit of {limit}: delete uploads, "
        "data sets or jobs that are no longer needed",
        code="storage_quota_exceeded",
        limit=limit,
        value=stored + size,
    )


def _jobs(session: Session, owner: str, states: tuple[str, ...]) -> int:
    counted = select(func.count()).select_from(Job).where(Job.owner == owner, Job.state.in_(states))
    return session.scalar(counted) or 0
