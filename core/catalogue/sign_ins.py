"""Browsers that are signed in: a key was exchanged for a token that opens nothing once the key does not."""

import hashlib
import secrets
from datetime import UTC, datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.catalogue.keys import is_valid
from core.db.models import ApiKey, SignIn
from core.db.types import db_now
from core.errors import Unauthenticated

#: How long a browser stays signed in.
LASTS_SECONDS = 14 * 86_400
_TOKEN_BYTES = 32


def sign_in(session: Session, key: ApiKey) -> str:
    """The token of a new sign-in by this key. Only its hash is stored. Forgets sign-ins that have expired."""
    session.execute(delete(SignIn).where(SignIn.expires_at < db_now()))
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    session.add(SignIn(token_hash=_digest(token), key_id=key.id, expires_at=db_now(LASTS_SECONDS)))
    return token


def key_of(session: Session, token: str) -> ApiKey:
    """The key that somebody signed in with.

    Raises:
        Unauthenticated: unknown, expired or signed out, or the key is not valid any more.
    """
    statement = select(SignIn.expires_at, ApiKey).join(ApiKey, ApiKey.id == SignIn.key_id)
    found = session.execute(statement.where(SignIn.token_hash == _digest(token))).one_or_none()
    if found is None or found.expires_at < datetime.now(UTC) or not is_valid(found.ApiKey):
        raise Unauthenticated("this sign-in has ended: sign in again")
    key: ApiKey = found.ApiKey
    return key


def sign_out(session: Session, token: str) -> None:
    session.execute(delete(SignIn).where(SignIn.token_hash == _digest(token)))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
