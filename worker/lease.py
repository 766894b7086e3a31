"""Claim, heartbeat, stop request: how one attempt holds a row, by guarded updates alone."""

import time
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from core.db.locks import serialise
from core.db.models import Dataset, Job
from core.db.session import after_commit
from core.db.types import db_now
from core.jobs.line import next_dataset, next_job
from core.jobs.transitions import Leased, held_by, move, record


@dataclass(frozen=True, kw_only=True)
class Lease:
    """An attempt's right to a row."""

    model: Leased
    row_id: str
    fence: int


def claim_next(
    session: Session,
    model: Leased,
    *,
    worker: str,
    seconds: float,
    phases: tuple[str, ...],
    running_limit: int,
) -> Lease | None:
    """Take whichever waiting row is next. None if no row waits that may be worked on.

    Args:
        phases: the phases of a job that this kind of task serves.
        running_limit: jobs of one owner that may be in work at a time.
    """
    # Two workers that look at once would take the same row, or one job too many of an owner.
    serialise(session, f"claims of {model.__tablename__}")

    def look() -> str | None:
        return (
            next_job(session, phases, running_limit=running_limit) if model is Job else next_dataset(session)
        )

    while row_id := look():
        fence = session.scalar(select(model.fence).where(model.id == row_id))
        if fence is None:
            continue  # deleted meanwhile
        lease = claim(session, model, row_id, fence, worker=worker, seconds=seconds, phases=phases)
        if lease is not None:
            return lease
    return None


def claim(
    session: Session,
    model: Leased,
    row_id: str,
    fence: int,
    *,
    worker: str,
    seconds: float,
    phases: tuple[str, ...],
) -> Lease | None:
    """Take a waiting row for a new attempt. None if it does not wait any more.

    Args:
        fence: the row's fence when it was chosen; if anybody has had it since, there is a newer one.
    """
    waiting: tuple[ColumnElement[bool], ...] = (model.fence == fence, model.lease_until.is_(None))
    taken = {"fence": model.fence + 1, "lease_until": db_now(seconds), "worker": worker, "retry_at": None}
    data = {"attempt": fence + 1, "worker": worker}
    if model is Job:
        started = func.coalesce(Job.started_at, db_now())
        phase = Job.phase.in_(phases)
        won = move(session, Job, row_id, "running", phase, *waiting, data=data, started_at=started, **taken)
    else:
        ingesting = Dataset.state == "ingesting"
        won = record(session, Dataset, row_id, "claimed", data, ingesting, *waiting, **taken)
    return Lease(model=model, row_id=row_id, fence=fence + 1) if won else None


class Heartbeat:
    """Renews a lease, and says when it must be considered lost.

    The database's clock decides for everybody else; but an attempt that cannot reach the database
    has only its own monotonic clock, and stops at two thirds of the lease by that.
    """

    def __init__(self, lease: Lease, seconds: float) -> None:
        self.lease = lease
        self._seconds = seconds
        self._renewed = time.monotonic()

    def renew(self, session: Session) -> tuple[str, int] | None:
        """Renew. Returns the row's state and event count, or None if another attempt has the row."""
        model = self.lease.model
        started = time.monotonic()
        statement = (
            update(model)
            .where(model.id == self.lease.row_id, *held_by(model, self.lease.fence))
            .values(lease_until=db_now(self._seconds))
            .returning(model.state, model.event_seq)
            .execution_options(synchronize_session=False)
        )
        row = session.execute(statement).one_or_none()
        if row is None:
            return None
        # The answer to the commit may never come.
        after_commit(session, lambda: self._note(started))
        return row.state, row.event_seq

    def _note(self, renewed: float) -> None:
        self._renewed = renewed

    @property
    def overdue(self) -> bool:
        return time.monotonic() - self._renewed > self._seconds * 2 / 3
