"""API keys: made, shown once, checked, revoked."""

import hashlib
import hmac
import secrets
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final, Literal

from sqlalchemy import ColumnElement, exists, or_, select, update
from sqlalchemy.orm import Session

from core.db.models import ApiKey
from core.db.types import db_now
from core.errors import Unauthenticated
from core.ids import new_id

Scope = Literal["read", "write", "admin"]

#: What each scope may do; a later one includes the earlier.
SCOPES: Final[tuple[Scope, ...]] = ("read", "write", "admin")
OWNER_PATTERN: Final = r"^[A-Za-z0-9._@-]{1,64}$"
_SECRET_BYTES = 32
_USED_RESOLUTION_SECONDS = 60


def create_key(
    session: Session, owner: str, *, name: str, scope: Scope, expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """A key and its token `<id>.<secret>`, which is not stored and cannot be shown again."""
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    granted = list(SCOPES[: SCOPES.index(scope) + 1])
    key = ApiKey(
        id=new_id("key"), owner=owner, name=name, scopes=granted, secret_hash=_digest(secret),
        expires_at=expires_at,
    )  # fmt: skip
    session.add(key)
    session.flush()
    session.refresh(key)
    return key, f"{key.id}.{secret}"


def authenticate(session: Session, token: str) -> ApiKey:
    """The key of a token.

    Raises:
        Unauthenticated: unknown, wrong, expired or revoked; which of them is not told.
    """
    key_id, _, secret = token.partition(".")
    key = session.scalar(select(ApiKey).where(ApiKey.id == key_id))
    # An unknown id costs the same comparison, so that its timing tells nothing.
    matches = hmac.compare_digest(_digest(secret), key.secret_hash if key else _digest(""))
    if key is None or not matches or not is_valid(key):
        raise Unauthenticated("this API key is not valid")
    return key


def is_valid(key: ApiKey) -> bool:
    """Whether it is neither revoked nor expired."""
    return key.revoked_at is None and (key.expires_at is None or key.expires_at >= datetime.now(UTC))


def no_longer_valid(session: Session, key_ids: Collection[str]) -> set[str]:
    """Which of these keys were revoked or have expired."""
    over = or_(ApiKey.revoked_at.is_not(None), ApiKey.expires_at < db_now())
    return set(session.scalars(select(ApiKey.id).where(ApiKey.id.in_(key_ids), over)))


def note_use(session: Session, key_id: str) -> None:
    """Record that a key was used, at most once a minute."""
    stale: ColumnElement[bool] = or_(
        ApiKey.last_used_at.is_(None), ApiKey.last_used_at < db_now(-_USED_RESOLUTION_SECONDS)
    )
    session.execute(update(ApiKey).where(ApiKey.id == key_id, stale).values(last_used_at=db_now()))


def revoke_key(session: Session, key: ApiKey) -> None:
    session.execute(
        update(ApiKey).where(ApiKey.id == key.id, ApiKey.revoked_at.is_(None)).values(revoked_at=db_now())
    )


def any_key(session: Session) -> bool:
    """Whether a key was ever made. A revoked one counts: revoking the last must not open the door."""
    return bool(session.scalar(select(exists().select_from(ApiKey))))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
