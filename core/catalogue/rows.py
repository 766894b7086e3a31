"""How every owned row is read: by one function, scoped by owner."""

from typing import TypeVar

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session

from core.db.models import ApiKey, Artifact, CondensedSet, Dataset, Delivery, Job, Upload, Webhook
from core.errors import NotFound

Row = TypeVar("Row", Upload, Dataset, CondensedSet, Job, Artifact, ApiKey, Webhook, Delivery)

_NAMES = {
    Upload: "upload",
    Dataset: "data set",
    CondensedSet: "condensed set",
    Job: "job",
    Artifact: "artifact",
    ApiKey: "API key",
    Webhook: "webhook",
    Delivery: "delivery",
}


def get(session: Session, model: type[Row], owner: str, row_id: str) -> Row:
    """The owner's row. Another owner's is as absent as one that never was.

    Raises:
        NotFound
    """
    return _present(model, session.scalar(_one(model, owner, row_id)), row_id)


def lock(session: Session, model: type[Row], owner: str, row_id: str) -> Row:
    """`get`, and keep the row as it is until the transaction ends (SQLite locks as a whole)."""
    statement = _one(model, owner, row_id).with_for_update().execution_options(populate_existing=True)
    return _present(model, session.scalar(statement), row_id)


def _one(model: type[Row], owner: str, row_id: str) -> Select[Row]:
    # PostgreSQL does not even compare a text that has a NUL; no id has a question mark.
    return select(model).where(model.id == row_id.replace("\0", "?"), model.owner == owner)


def _present(model: type[Row], row: Row | None, row_id: str) -> Row:
    if row is None:
        raise NotFound(f"no {_NAMES[model]} {row_id[:80]!r}")
    return row


def page(
    session: Session,
    model: type[Row],
    owner: str,
    *filters: ColumnElement[bool],
    limit: int,
    after: str | None,
) -> tuple[list[Row], bool]:
    """Up to `limit` rows, newest first, that are older than the id `after`, and whether more follow."""
    statement = select(model).where(model.owner == owner, *filters).order_by(model.id.desc()).limit(limit + 1)
    if after is not None:
        statement = statement.where(model.id < after)
    rows = list(session.scalars(statement))
    return rows[:limit], len(rows) > limit
