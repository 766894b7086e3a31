"""`Idempotency-Key`: a request that is repeated makes nothing new."""

import hashlib
import json
from typing import Any

from psycopg.errors import LockNotAvailable
from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from core.db.models import IdempotencyKey
from core.db.types import db_now
from core.errors import Conflict, InvalidRequest

#: How long a repetition is known as one.
REMEMBERED_SECONDS = 30 * 86_400.0


def forget_old(session: Session) -> None:
    """Forget keys that nobody can still be repeating."""
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < db_now(-REMEMBERED_SECONDS)))


def remember(
    session: Session,
    owner: str,
    key: str | None,
    request: dict[str, Any],
    new_id: str,
    *,
    as_before: dict[str, Any] | None = None,
) -> str:
    """Claim `key` for `request`, in the transaction that makes the resource `new_id`.

    Args:
        as_before: the same request as an older version of the service knew it, if it could be made then.

    Returns the id of the resource that the key stands for: `new_id` the first time (or without a
    key), the earlier one when the same request is repeated.

    Raises:
        InvalidRequest: the key was used for a different request.
        Conflict: a request with the same key has not finished yet.
    """
    if key is None:
        return new_id
    digest = _digest(request)
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = {"owner": owner, "key": key, "request_hash": digest, "resource_id": new_id}
    try:
        # Waits for a concurrent transaction with the same key, at most for the lock timeout.
        session.execute(insert(IdempotencyKey).values(**values).on_conflict_do_nothing())
    except OperationalError as error:
        if not isinstance(error.orig, LockNotAvailable):
            raise
        raise Conflict(
            f"a request with Idempotency-Key {key!r} is still being served: repeat it later",
            code="idempotency_key_in_flight",
        ) from error
    mine = (IdempotencyKey.owner == owner, IdempotencyKey.key == key)
    row = session.scalars(select(IdempotencyKey).where(*mine)).one()
    known = {digest} if as_before is None else {digest, _digest(as_before)}
    if row.request_hash not in known:
        raise InvalidRequest(
            f"Idempotency-Key {key!r} was used for a different request: choose a new one",
            code="idempotency_key_reused",
        )
    return row.resource_id


def _digest(request: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
