"""Every change of a leased row: a guarded UPDATE, an event, and what webhooks are told of it, in the
caller's transaction."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, update
from sqlalchemy.orm import Session

from core.db.models import CondensedSet, Dataset, Event, Job, Trial
from core.db.types import db_now
from core.errors import LeaseLost
from core.vocabulary import (
    CONDENSED_SET_TRANSITIONS,
    DATASET_TRANSITIONS,
    JOB_HELD,
    JOB_TRANSITIONS,
    TRIAL_TRANSITIONS,
    sources,
)
from core.webhooks.outbox import announce

Leased = type[Job] | type[Dataset] | type[CondensedSet] | type[Trial]
LeasedRow = Job | Dataset | CondensedSet | Trial

_TRANSITIONS = {
    Job: JOB_TRANSITIONS,
    Dataset: DATASET_TRANSITIONS,
    CondensedSet: CONDENSED_SET_TRANSITIONS,
    Trial: TRIAL_TRANSITIONS,
}
#: What is read once and then stays: it waits, and is worked on, in this one state.
INTAKE: Final[Mapping[Leased, str]] = {Dataset: "ingesting", CondensedSet: "reading"}
HELD: Final[Mapping[Leased, tuple[str, ...]]] = {
    Job: JOB_HELD,
    Trial: ("running",),
    **{model: (state,) for model, state in INTAKE.items()},
}


def find(session: Session, model: Leased, row_id: str) -> LeasedRow | None:
    """The row as it is now in the database."""
    row = session.get(model, row_id, populate_existing=True)
    assert row is None or isinstance(row, LeasedRow)
    return row


def hold(session: Session, model: Leased, row_id: str) -> LeasedRow | None:
    """`find`, and keep the row as it is until the transaction ends."""
    row = session.get(model, row_id, populate_existing=True, with_for_update=True)
    assert row is None or isinstance(row, LeasedRow)
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

    Returns whether it did. Of a trial no event is kept: its job's history says what became of it. The
    sequence number comes from the row itself, under the lock of its UPDATE, so the events of a row have no
    gaps and no doubles.
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
    if model is Trial:
        return True
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
    if target not in HELD[model]:
        values.setdefault("lease_until", None)
        values.setdefault("worker", None)
    if not transitions[target]:
        values.setdefault("finished_at", db_now())
    allowed = model.state.in_(sources(transitions, target))
    return record(session, model, row_id, target, data or {}, allowed, *guards, state=target, **values)


def held_by(model: Leased, fence: int) -> tuple[ColumnElement[bool], ...]:
    """Guards: the attempt `fence` still holds the row."""
    return (model.fence == fence, model.lease_until.is_not(None), model.state.in_(HELD[model]))


def require(done: bool, row_id: str, fence: int) -> None:
    """Raise LeaseLost unless a fenced write happened."""
    if not done:
        raise LeaseLost(f"{row_id}: attempt {fence} no longer holds the row")
