"""Claim, heartbeat, stop request: how one attempt holds a row, by guarded updates alone."""

import time
from dataclasses import dataclass
from typing import Any, Final, Self

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from core.db.locks import serialise
from core.db.models import CondensedSet, Dataset, Job, Trial
from core.db.session import after_commit
from core.db.types import db_now
from core.failpoints import reach
from core.vocabulary import JOB_WITH_TRIALS, TRIAL_QUEUE
from core.work.scheduling import for_any_worker, next_row
from core.work.transitions import INTAKE, Leased, LeasedRow, held_by, move, record

#: What a runner is told on its command line.
NOUNS: Final[dict[str, Leased]] = {
    "job": Job,
    "trial": Trial,
    "dataset": Dataset,
    "condensed-set": CondensedSet,
}


@dataclass(frozen=True, kw_only=True)
class Lease:
    """An attempt's right to a row."""

    model: Leased
    row_id: str
    fence: int

    @classmethod
    def of(cls, noun: str, row_id: str, fence: int) -> Self:
        return cls(model=NOUNS[noun], row_id=row_id, fence=fence)

    @property
    def noun(self) -> str:
        return _noun_of(self.model)


def _noun_of(model: Leased) -> str:
    return next(noun for noun, one in NOUNS.items() if one is model)


def claim_next(
    session: Session, queue: str, *, worker: str, seconds: float, running_limit: int
) -> Lease | None:
    """Take whichever waiting row of a queue is next. None if none waits that may be worked on.

    Args:
        running_limit: jobs, and trials beside them, of one owner that may be in work at a time.
    """
    # Two workers that look at once would take the same row, or one too many of an owner.
    serialise(session, f"claims of {queue}")
    while chosen := next_row(session, queue, running_limit=running_limit):
        model, row_id = chosen
        fence = session.scalar(select(model.fence).where(model.id == row_id))
        if fence is None:
            continue  # deleted meanwhile
        reach(f"{_noun_of(model)}.chosen")
        lease = claim(session, model, row_id, fence, worker=worker, seconds=seconds, queue=queue)
        if lease is not None:
            return lease
    return None


def claim(
    session: Session, model: Leased, row_id: str, fence: int, *, worker: str, seconds: float, queue: str
) -> Lease | None:
    """Take a waiting row for a new attempt. None if it does not wait any more.

    Args:
        fence: the row's fence when it was chosen; if anybody has had it since, there is a newer one.
        queue: of a job, the one that it must wait for.
    """
    waiting = (model.fence == fence, model.lease_until.is_(None))
    taken: dict[str, Any] = {
        "fence": model.fence + 1,
        "lease_until": db_now(seconds),
        "worker": worker,
        "retry_at": None,
    }
    data: dict[str, Any] = {"attempt": fence + 1, "worker": worker}
    if model is Job:
        started = func.coalesce(Job.started_at, db_now())
        served = Job.queue == queue
        won = move(session, Job, row_id, "running", served, *waiting, data=data, started_at=started, **taken)
    elif model is Trial:
        assert queue == TRIAL_QUEUE
        won = move(session, Trial, row_id, "running", *for_any_worker(), *waiting, **taken)
    else:
        here = model.state == INTAKE[model]
        won = record(session, model, row_id, "claimed", data, here, *waiting, **taken)
    return Lease(model=model, row_id=row_id, fence=fence + 1) if won else None


def is_to_stop(session: Session, row: LeasedRow) -> bool:
    """Whether the owner of a held row wants it stopped. A trial goes on as long as its job does, even while
    that changes hands."""
    match row:
        case Job():
            return row.state != "running"
        case Trial():
            state = session.scalar(select(Job.state).where(Job.id == row.job_id))
            return state not in JOB_WITH_TRIALS
    return False


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
