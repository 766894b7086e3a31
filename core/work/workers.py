"""Which workers there are, on whatever machine: each says so at every heartbeat."""

from datetime import datetime
from typing import Final

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from core.db.models import Worker
from core.db.types import db_now

#: After this long without a heartbeat a worker is not coming back: it starts under a new id.
_GONE_SECONDS: Final = 86_400.0


def note_alive(session: Session, worker: Worker) -> None:
    """Write a worker's heartbeat; its row too, if it has none (yet, or any more)."""
    seen = update(Worker).where(Worker.id == worker.id).values(seen_at=db_now()).returning(Worker.id)
    if session.scalar(seen) is None:
        columns = ("id", "host", "version", "queues", "slots", "device")
        session.add(Worker(**{name: getattr(worker, name) for name in columns}))


def sign_off(session: Session, worker_id: str) -> None:
    session.execute(delete(Worker).where(Worker.id == worker_id))


def forget_silent(session: Session) -> None:
    """Forget workers that died long ago."""
    session.execute(delete(Worker).where(Worker.seen_at < db_now(-_GONE_SECONDS)))


def all_workers(session: Session) -> list[Worker]:
    """Newest first."""
    return list(session.scalars(select(Worker).order_by(Worker.id.desc())))


def queues_served(session: Session, within_seconds: float) -> set[str]:
    """By workers whose last heartbeat is no older than so many seconds."""
    alive = select(Worker.queues).where(Worker.seen_at >= db_now(-within_seconds))
    return {queue for queues in session.scalars(alive) for queue in queues}


def seconds_since_heartbeat(session: Session) -> float | None:
    """Since the last heartbeat of any worker; None if there is none."""
    seen: datetime | None = session.scalar(select(func.max(Worker.seen_at)))
    if seen is None:
        return None
    now: datetime = session.scalars(select(db_now())).one()
    return max(0.0, (now - seen).total_seconds())
