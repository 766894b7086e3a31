"""What is new for many subjects at once: one query, however many of them are followed."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    Integer,
    Row,
    TableValuedAlias,
    Text,
    cast,
    func,
    literal,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import Session

from core.db.models import Dataset, Event, Job

#: Of one subject at once, so that a long history does not keep the others waiting.
_PER_SUBJECT = 100


def new_events(session: Session, seen: Mapping[str, int], limit: int) -> Sequence[Row[Any]]:
    """Events after the `seq` that is seen of each subject, each subject's in order; at most `limit`.

    The subjects travel as one JSON text, and each is looked up in the primary key of the events, so the
    cost does not grow with the table.
    """
    pairs = _pairs(session, seen)
    beyond = (
        select(Event.subject_id, Event.seq, Event.type, Event.data, Event.created_at)
        .where(Event.subject_id == pairs.c.key, Event.seq > cast(pairs.c.value, Integer))
        .limit(limit)
    )
    if _is_postgresql(session):
        # The limit inside keeps the planner, which knows nothing of `seen`, from joining the whole table.
        each = beyond.order_by(Event.seq).limit(_PER_SUBJECT).lateral()
        beyond = select(*each.c).select_from(pairs.join(each, true())).limit(limit)
    return session.execute(beyond).all()


def absent(session: Session, subjects: Iterable[str]) -> set[str]:
    """Which of the subjects are no more."""
    wanted = dict.fromkeys(subjects, 0)
    pairs = _pairs(session, wanted)
    found = union_all(*(select(model.id).join(pairs, model.id == pairs.c.key) for model in (Job, Dataset)))
    return set(wanted).difference(session.scalars(found))


def _pairs(session: Session, values: Mapping[str, int]) -> TableValuedAlias:
    text = json.dumps(dict(values))
    if _is_postgresql(session):
        return func.json_each_text(cast(literal(text, Text()), JSON())).table_valued("key", "value")
    return func.json_each(text).table_valued("key", "value")


def _is_postgresql(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"
