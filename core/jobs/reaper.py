"""Puts right what a crash left behind. Idempotent and guarded, so any process may run it at any time."""

from dataclasses import dataclass
from typing import TypeVar

import structlog
from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from core.db.models import Dataset, Job
from core.db.types import db_now
from core.jobs import queue
from core.jobs.files import keep_only_published
from core.jobs.states import JOB_HELD
from core.jobs.transitions import move, record
from core.settings import Settings
from core.storage.local import LocalStorage

Row = TypeVar("Row", Job, Dataset)

#: Wake-ups of one sweep and table. Only the head of the line needs one: whoever finishes a row sweeps
#: again, and a broker must not fill with the bells of a long line behind one long job.
RING_AT_ONCE = 10

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Reaped:
    """How many rows were put right."""

    requeued: int = 0
    failed: int = 0
    cancelled: int = 0
    rung: int = 0


def reap(session: Session, storage: LocalStorage, settings: Settings) -> Reaped:
    """One sweep: expired leases back to the queue (or failed, or cancelled), lost wake-ups sent again."""
    requeued = failed = cancelled = 0
    for job in _expired(session, Job, Job.state.in_(JOB_HELD)):
        outcome = release_dead(
            session, storage, job, settings, f"the worker {job.worker} stopped renewing its lease"
        )
        requeued += outcome == "queued"
        failed += outcome == "failed"
        cancelled += outcome == "cancelled"
    for dataset in _expired(session, Dataset, Dataset.state == "ingesting"):
        outcome = release_dead(
            session, storage, dataset, settings, f"the worker {dataset.worker} stopped renewing its lease"
        )
        requeued += outcome == "queued"
        failed += outcome == "invalid"
    rung = _ring_waiting(session, settings)
    reaped = Reaped(requeued=requeued, failed=failed, cancelled=cancelled, rung=rung)
    if requeued or failed or cancelled:
        log.warning("reaped", requeued=requeued, failed=failed, cancelled=cancelled)
    return reaped


def release_dead(
    session: Session, storage: LocalStorage, row: Job | Dataset, settings: Settings, reason: str
) -> str | None:
    """Take a row from an attempt that died. Returns the state it went to, None if it was too late.

    A cancelled one is cancelled. Otherwise it waits again, unless `max_attempts` attempts in a row
    died without a new checkpoint: then it is the row that kills its workers.
    """
    model = type(row)
    # The lease that was seen to be dead: a worker that woke up and renewed it meanwhile keeps the row.
    mine = (model.fence == row.fence, model.lease_until == row.lease_until)
    failures = row.failures + 1
    problem = {
        "code": "worker_lost",
        "detail": f"{failures} attempts in a row ended without progress; the last one: {reason}",
    }
    if isinstance(row, Dataset):
        if failures >= settings.max_attempts:
            gone = move(session, Dataset, row.id, "invalid", *mine, data=problem, problem=problem)
            return "invalid" if gone else None
        waits = record(
            session, Dataset, row.id, "requeued", {"reason": reason}, *mine,
            lease_until=None, worker=None, failures=failures, dispatched_at=None,
        )  # fmt: skip
        return "queued" if waits else None
    if row.state == "cancelling":
        if not move(session, Job, row.id, "cancelled", *mine):
            return None
        keep_only_published(session, storage, row.id)
        return "cancelled"
    if failures >= settings.max_attempts:
        return (
            "failed" if move(session, Job, row.id, "failed", *mine, data=problem, problem=problem) else None
        )
    waits = move(
        session, Job, row.id, "queued", *mine,
        data={"reason": reason, "failures": failures}, failures=failures, dispatched_at=None,
    )  # fmt: skip
    return "queued" if waits else None


def _expired(session: Session, model: type[Row], held: ColumnElement[bool]) -> list[Row]:
    return list(session.scalars(select(model).where(held, model.lease_until < db_now())))


def _ring_waiting(session: Session, settings: Settings) -> int:
    """Send the wake-up of every waiting row whose last one is old enough to be lost."""
    heads: list[Job | Dataset] = [
        *_head(session, Job, Job.state == "queued", settings),
        *_head(session, Dataset, Dataset.state == "ingesting", settings),
    ]
    for row in heads:
        queue.ring(session, row)
    return len(heads)


def _head(session: Session, model: type[Row], waiting: ColumnElement[bool], settings: Settings) -> list[Row]:
    head = select(model.id).where(waiting, model.lease_until.is_(None)).order_by(model.id).limit(RING_AT_ONCE)
    stale = or_(model.dispatched_at.is_(None), model.dispatched_at < db_now(-settings.redispatch_seconds))
    return list(session.scalars(select(model).where(model.id.in_(head), stale).order_by(model.id)))
