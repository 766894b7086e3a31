"""Every change of a leased row: a guarded UPDATE, an event, and what webhooks are told of it, in the
caller's transaction."""

from typing import Any

import structlog
from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from core.db.models import Dataset, Event, Job
from core.db.types import db_now
from core.errors import LeaseLost
from core.jobs.states import (
    DATASET_TRANSITIONS,
    JOB_HELD,
    JOB_TRANSITIONS,
    sources,
)
from core.webhooks.outbox import announce

Leased = type[Job] | type[Dataset]

_TRANSITIONS = {Job: JOB_TRANSITIONS, Dataset: DATASET_TRANSITIONS}
_HELD: dict[Leased, tuple[str, ...]] = {Job: JOB_HELD, Dataset: ("ingesting",)}


def find(session: Session, model: Leased, row_id: str) -> Job | Dataset | None:
    """The row as it is now in the database."""
    row = session.get(model, row_id, populate_existing=True)
    assert row is None or isinstance(row, Job | Dataset)
    return row


def hold(session: Session, model: Leased, row_id: str) -> Job | Dataset | None:
    """`find`, and keep the row as it is until the transaction ends."""
    row = session.get(model, row_id, populate_existing=True, with_for_update=True)
    assert row is None or isinstance(row, Job | Dataset)
    return row


def record(
    session: Session,
    model: Leased,
    row_id: str,
    event: str,
    data: dict[str, Any],
    *guards: ColumnElement[bool],
    **values: Any,
) -> bool:
    """Write `values` and one event, if the row still meets `guards`.

    Returns whether it did. The sequence number comes from the row itself, under the lock of its
    UPDATE, so the events of a row have no gaps and no doubles.
    """
    statement = (
        update(model)
        .where(model.id == row_id, *guards)
        .values(event_seq=model.event_seq + 1, updated_at=db_now(), **values)
        .returning(model.event_seq, model.owner)
        .execution_options(synchronize_session=False)
    )
    row = session.execute(statement).one_or_none()
    if row is None:
        return False
    recorded = Event(subject_id=row_id, seq=row.event_seq, owner=row.owner, type=event, data=data)
    session.add(recorded)
    session.flush()
    announce(session, model, recorded)
    return True


def move(
    session: Session,
    model: Leased,
    row_id: str,
    target: str,
    *guards: ColumnElement[bool],
    data: dict[str, Any] | None = None,
    **values: Any,
) -> bool:
    """Bring a row to the state `target` if the table allows it from where the row is now.

    Leaving a held state gives up the lease. Terminal states also get `finished_at`.
    """
    transitions = _TRANSITIONS[model]
    if target not in _HELD[model]:
        values.setdefault("lease_until", None)
        values.setdefault("worker", None)
    if not transitions[target]:
        values.setdefault("finished_at", db_now())
    allowed = model.state.in_(sources(transitions, target))
    return record(session, model, row_id, target, data or {}, allowed, *guards, state=target, **values)


def held_by(model: Leased, fence: int) -> tuple[ColumnElement[bool], ...]:
    """Guards: the attempt `fence` still holds the row."""
    return (model.fence == fence, model.lease_until.is_not(None), model.state.in_(_HELD[model]))


def require(done: bool, row_id: str, fence: int) -> None:
    """Raise LeaseLost unless a fenced write happened."""
    if not done:
        raise LeaseLost(f"{row_id}: attempt {fence} no longer holds the row")


def first_event(session: Session, row: Job | Dataset, data: dict[str, Any]) -> None:
    """The event of a row that has just been added, in the state it starts in, and by which request."""
    row.event_seq = 1
    data = data | _request()
    session.add(Event(subject_id=row.id, seq=1, owner=row.owner, type=row.state, data=data))


def made_by(session: Session, subject_id: str) -> dict[str, str]:
    """`request_id` of the request that made a row, for the log lines about it; empty if none did."""
    data = session.scalar(select(Event.data).where(Event.subject_id == subject_id, Event.seq == 1))
    return {"request_id": data["request_id"]} if data and "request_id" in data else {}


def _request() -> dict[str, str]:
    bound = structlog.contextvars.get_contextvars()
    return {"request_id": bound["request_id"]} if "request_id" in bound else {}


def events_after(session: Session, owner: str, subject_id: str, seq: int, limit: int) -> list[Event]:
    statement = (
        select(Event)
        .where(Event.subject_id == subject_id, Event.owner == owner, Event.seq > seq)
        .order_by(Event.seq)
        .limit(limit)
    )
    return list(session.scalars(statement))
