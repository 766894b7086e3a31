"""What is new for many subjects at once: one query, however many of them are followed."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    JSON,
    Integer,
    Row,
    Select,
    TableValuedAlias,
    Text,
    bindparam,
    cast,
    func,
    not_,
    or_,
    select,
    true,
)
from sqlalchemy.orm import Session

from core.db.models import CondensedSet, Dataset, Event, Job

#: Of one subject at once, so that a long history does not keep the others waiting.
_PER_SUBJECT = 100


def new_events(session: Session, seen: Mapping[str, int], limit: int) -> Sequence[Row[Any]]:
    """Events after the `seq` that is seen of each subject, each subject's in order; at most `limit`.

    The subjects travel as one JSON text, and each is looked up in the primary key of the events, so the
    cost does not grow with the table.
    """
    return _ask(session, _newer(_dialect(session)), seen, limit=limit)


def absent(session: Session, subjects: Mapping[str, int]) -> set[str]:
    """Which of the subjects, the keys of `subjects`, are no more."""
    return {row[0] for row in _ask(session, _gone(_dialect(session)), subjects)}


def _ask(
    session: Session, statement: Select[Any], subjects: Mapping[str, int], **others: Any
) -> Sequence[Row[Any]]:
    # By the connection: the session would look for entities in the columns of every statement.
    return session.connection().execute(statement, {"subjects": json.dumps(subjects), **others}).all()


@cache
def _newer(dialect: str) -> Select[Any]:
    """Built once: many times a second, that would cost more than the answer."""
    pairs, events = _pairs(dialect), Event.__table__.c
    beyond = select(events.subject_id, events.seq, events.type, events.data, events.created_at).where(
        events.subject_id == pairs.c.key, events.seq > cast(pairs.c.value, Integer)
    )
    limit = bindparam("limit", type_=Integer)
    if dialect != "postgresql":
        return beyond.limit(limit)
    # The limit inside keeps the planner, which knows nothing of the subjects, from joining the whole table.
    each = beyond.order_by(events.seq).limit(_PER_SUBJECT).lateral()
    return select(*each.c).select_from(pairs.join(each, true())).limit(limit)


@cache
def _gone(dialect: str) -> Select[Any]:
    pairs = _pairs(dialect)
    there = (
        select(model.id).where(model.id == pairs.c.key).exists() for model in (Job, Dataset, CondensedSet)
    )
    return select(pairs.c.key).where(not_(or_(*there)))


def _pairs(dialect: str) -> TableValuedAlias:
    text = bindparam("subjects", type_=Text)
    if dialect == "postgresql":
        return func.json_each_text(cast(text, JSON())).table_valued("key", "value")
    return func.json_each(text).table_valued("key", "value")


def _dialect(session: Session) -> str:
    return session.get_bind().dialect.name
