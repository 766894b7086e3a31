"""Puts right what a crash left behind. Idempotent and guarded, so any process may run it at any time."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import structlog
from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from core.db.models import CondensedSet, Dataset, Job, Trial
from core.db.types import db_now
from core.settings import Settings
from core.storage import Storage
from core.work import wake_ups
from core.work.files import keep_only_published
from core.work.retries import Cause, exhausted, wait_seconds
from core.work.scheduling import due, for_any_worker
from core.work.transitions import HELD, INTAKE, Leased, LeasedRow, move, record

#: Wake-ups of one sweep and table. Only the first rows need one: whoever finishes a row sweeps again, and a
#: broker must not fill with the messages of a thousand rows that wait for one long job.
WAKE_AT_ONCE = 10
_TABLES: tuple[Leased, ...] = (Job, Trial, Dataset, CondensedSet)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Reaped:
    """How many rows were put right."""

    requeued: int = 0
    failed: int = 0
    cancelled: int = 0
    paused: int = 0
    woken: int = 0


def reap(session: Session, storage: Storage, settings: Settings) -> Reaped:
    """One sweep: rows of expired leases wait again, or are at their end; lost wake-ups are sent again."""
    expired = [row for model in _TABLES for row in _expired(session, model)]
    outcomes = Counter(
        release(session, storage, row, settings, "worker_lost", f"the worker {row.worker} fell silent")
        for row in expired
    )
    reaped = Reaped(
        requeued=outcomes["queued"] + outcomes["waiting"],
        failed=outcomes["failed"] + outcomes["invalid"],
        cancelled=outcomes["cancelled"],
        paused=outcomes["paused"],
        woken=_wake_for_waiting(session, settings),
    )
    if expired:
        log.warning("reaped", **asdict(reaped))
    return reaped


def release(
    session: Session,
    storage: Storage,
    row: LeasedRow,
    settings: Settings,
    cause: Cause,
    reason: str,
) -> str | None:
    """Take a row from an attempt that ended early. Returns the state it went to, None if it was too late.

    What its owner asked for is done: cancelled, paused. Otherwise it waits again, unless the retry policy
    of this cause allows no more. Then a job has failed, a set is invalid, and a trial is left to an attempt
    at its job, which fails as that does.
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
    if exhausted(cause, count, settings) and isinstance(row, Trial):
        values |= {"problem": {"code": cause, "detail": reason}}
        return "waiting" if wait_again(session, row, *mine, data=data, **values) else None
    if exhausted(cause, count, settings):
        detail = f"{count} attempts in a row ended without progress; the last one: {reason}"
        problem = {"code": cause, "detail": detail}
        target = "failed" if isinstance(row, Job) else "invalid"
        values |= {"problem": problem}
        return target if move(session, type(row), row.id, target, *mine, data=problem, **values) else None
    if wait := wait_seconds(cause, count):
        values |= {"retry_at": db_now(wait)}
        data |= {"wait_seconds": wait}
    state = "waiting" if isinstance(row, Trial) else "queued"
    return state if wait_again(session, row, *mine, data=data, **values) else None


def wait_again(
    session: Session, row: LeasedRow, *guards: ColumnElement[bool], data: dict[str, Any], **values: Any
) -> bool:
    """Let a held row wait to be claimed again."""
    match row:
        case Job():
            return move(session, Job, row.id, "queued", *guards, data=data, **values)
        case Trial():
            return move(session, Trial, row.id, "waiting", *guards, job_fence=None, **values)
    model = type(row)
    here = model.state == INTAKE[model]
    given_up = {"lease_until": None, "worker": None}
    return record(session, model, row.id, "requeued", data, here, *guards, **given_up, **values)


def _cancelled(session: Session, storage: Storage, job_id: str, *guards: ColumnElement[bool]) -> str | None:
    if not move(session, Job, job_id, "cancelled", *guards):
        return None
    keep_only_published(session, storage, job_id)
    return "cancelled"


def _expired(session: Session, model: Leased) -> list[LeasedRow]:
    held = model.state.in_(HELD[model])
    return list(session.scalars(select(model).where(held, model.lease_until < db_now())))


def _wake_for_waiting(session: Session, settings: Settings) -> int:
    """Send the wake-up of the first waiting rows whose last one is old enough to be lost."""
    running = select(Job.id).where(Job.state == "running")
    heads = [
        *_head(session, Job, settings, Job.state == "queued"),
        *_head(session, Trial, settings, *for_any_worker(), Trial.job_id.in_(running)),
        *(
            row
            for model, state in INTAKE.items()
            for row in _head(session, model, settings, model.state == state)
        ),
    ]
    for row in heads:
        wake_ups.wake(session, row)
    return len(heads)


def _head(
    session: Session, model: Leased, settings: Settings, *waiting: ColumnElement[bool]
) -> list[LeasedRow]:
    free = (*waiting, model.lease_until.is_(None), due(model))
    head = select(model.id).where(*free).order_by(model.id).limit(WAKE_AT_ONCE)
    stale = or_(model.dispatched_at.is_(None), model.dispatched_at < db_now(-settings.redispatch_seconds))
    return list(session.scalars(select(model).where(model.id.in_(head), stale).order_by(model.id)))
