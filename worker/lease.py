"""Claim, heartbeat, stop request: how one attempt holds a row, by guarded updates alone."""

import time
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, update
from sqlalchemy.orm import Session

from core.db.models import Dataset, Job
from core.db.types import db_now
from core.jobs.transitions import Leased, held_by, move, record


@dataclass(frozen=True, kw_only=True)
class Lease:
    """An attempt's right to a row."""

    model: Leased
    row_id: str
    fence: int


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
    """Take a waiting row for a new attempt. None if there is nothing to take.

    Args:
        fence: the row's fence when the wake-up was sent; an old or doubled message meets a newer one.
        phases: the phases of a job that this kind of task serves.
    """
    waiting: tuple[ColumnElement[bool], ...] = (model.fence == fence, model.lease_until.is_(None))
    taken = {"fence": model.fence + 1, "lease_until": db_now(seconds), "worker": worker}
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
        self._renewed = started
        return row.state, row.event_seq

    @property
    def overdue(self) -> bool:
        return time.monotonic() - self._renewed > self._seconds * 2 / 3
