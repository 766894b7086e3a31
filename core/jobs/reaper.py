"""Puts right what a crash left behind. Idempotent and guarded, so any process may run it at any time."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import structlog
from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from core.db.models import Dataset, Job
from core.db.types import db_now
from core.jobs import queue
from core.jobs.files import keep_only_published
from core.jobs.line import due
from core.jobs.setbacks import Cause, exhausted, wait_seconds
from core.jobs.states import JOB_HELD
from core.jobs.transitions import move, record
from core.settings import Settings
from core.storage import Storage

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
    paused: int = 0
    rung: int = 0


def reap(session: Session, storage: Storage, settings: Settings) -> Reaped:
    """One sweep: rows of expired leases wait again, or are at their end; lost wake-ups are sent again."""
    expired: list[Job | Dataset] = [
        *_expired(session, Job, Job.state.in_(JOB_HELD)),
        *_expired(session, Dataset, Dataset.state == "ingesting"),
    ]
    outcomes = Counter(
        release(session, storage, row, settings, "worker_lost", f"the worker {row.worker} fell silent")
        for row in expired
    )
    reaped = Reaped(
        requeued=outcomes["queued"],
        failed=outcomes["failed"] + outcomes["invalid"],
        cancelled=outcomes["cancelled"],
        paused=outcomes["paused"],
        rung=_ring_waiting(session, settings),
    )
    if expired:
        log.warning("reaped", **asdict(reaped))
    return reaped


def release(
    session: Session,
    storage: Storage,
    row: Job | Dataset,
    settings: Settings,
    cause: Cause,
    reason: str,
) -> str | None:
    """Take a row from an attempt that ended early. Returns the state it went to, None if it was too late.

    What its owner asked for is done: cancelled, paused. Otherwise it waits again, unless the patience with
    this cause is at its end.
    """
    # The lease that was seen to be dead: a worker that woke up and renewed it meanwhile keeps the row.
    mine = (type(row).fence == row.fence, type(row).lease_until == row.lease_until)
    if row.state == "cancelling":
        return _cancelled(session, storage, row.id, *mine)
    count = row.setbacks.get(cause, 0) + 1
    values: dict[str, Any] = {"setbacks": row.setbacks | {cause: count}, "dispatched_at": None}
    data = {"reason": reason, "cause": cause, "setbacks": count}
    if row.state == "pausing":
        return "paused" if move(session, Job, row.id, "paused", *mine, data=data, **values) else None
    if exhausted(cause, count, settings):
        detail = f"{count} attempts in a row ended without progress; the last one: {reason}"
        problem = {"code": cause, "detail": detail}
        target = "failed" if isinstance(row, Job) else "invalid"
        values |= {"problem": problem}
        return target if move(session, type(row), row.id, target, *mine, data=problem, **values) else None
    if wait := wait_seconds(cause, count):
        values |= {"retry_at": db_now(wait)}
        data |= {"wait_seconds": wait}
    return "queued" if wait_again(session, row, *mine, data=data, **values) else None


def wait_again(
    session: Session, row: Job | Dataset, *guards: ColumnElement[bool], data: dict[str, Any], **values: Any
) -> bool:
    """Put a held row back into the line."""
    if isinstance(row, Job):
        return move(session, Job, row.id, "queued", *guards, data=data, **values)
    held = Dataset.state == "ingesting"
    given_up = {"lease_until": None, "worker": None}
    return record(session, Dataset, row.id, "requeued", data, held, *guards, **given_up, **values)


def _cancelled(session: Session, storage: Storage, job_id: str, *guards: ColumnElement[bool]) -> str | None:
    if not move(session, Job, job_id, "cancelled", *guards):
        return None
    keep_only_published(session, storage, job_id)
    return "cancelled"


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
    free = (waiting, model.lease_until.is_(None), due(model))
    head = select(model.id).where(*free).order_by(model.id).limit(RING_AT_ONCE)
    stale = or_(model.dispatched_at.is_(None), model.dispatched_at < db_now(-settings.redispatch_seconds))
    return list(session.scalars(select(model).where(model.id.in_(head), stale).order_by(model.id)))
