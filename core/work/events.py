"""The history of a row: append-only, with sequence numbers from 1 without gaps (core/work/transitions.py)."""

from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db.models import CondensedSet, Dataset, Event, Job, Trial
from core.work.leases import Lease


def first_event(session: Session, row: Job | Dataset | CondensedSet, data: dict[str, Any]) -> None:
    """The event of a row that has just been added, in the state it starts in, and by which request."""
    row.event_seq = 1
    data = data | _request()
    session.add(Event(subject_id=row.id, seq=1, owner=row.owner, type=row.state, data=data))


def made_by(session: Session, lease: Lease) -> dict[str, str]:
    """`request_id` of the request that made a row, or a trial's job, for the log lines about it; empty if
    none did."""
    subject_id: str | None = lease.row_id
    if lease.model is Trial:
        subject_id = session.scalar(select(Trial.job_id).where(Trial.id == lease.row_id))
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
