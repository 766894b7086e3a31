"""How long workers were busy with a job, told from its events, which outlive every attempt."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db.models import Event, Job
from core.db.types import db_now


def seconds_by_phase(session: Session, job: Job, phases: Sequence[str]) -> dict[str, float]:
    """Wall-clock seconds from each claim to that attempt's last sign of life, by phase, until now.

    All attempts count, also for what a later one did again; the time in a queue does not. Of an attempt that
    died, the time after its last event is not counted: nobody knows how long it lived on.
    """
    statement = (
        select(Event.type, Event.created_at, Event.data)
        .where(Event.subject_id == job.id, Event.owner == job.owner)
        .order_by(Event.seq)
    )
    seconds = dict.fromkeys(phases, 0.0)
    phase, since = phases[0], None
    for kind, at, data in session.execute(statement):
        # A release from an attempt that ended early says why; it is written by another process, and later.
        if since is not None and "cause" not in data:
            seconds[phase] += (at - since).total_seconds()
        since = None if kind in ("queued", "paused") else at
        if kind in ("phase", "queued", "paused"):
            phase = data.get("phase", phase)
    if since is not None:
        now = session.scalars(select(db_now())).one()
        seconds[phase] += (now - since).total_seconds()
    return seconds
