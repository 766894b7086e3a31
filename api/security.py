"""Who calls: an API key, or, as long as no key was ever made, anybody on this machine."""

import hashlib
import ipaddress
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.exc import DBAPIError
from starlette.concurrency import run_in_threadpool

from core.catalogue import keys
from core.catalogue.keys import SCOPES, Scope
from core.db.session import Database
from core.errors import Forbidden, Unauthenticated

log = structlog.get_logger(__name__)

#: The owner of everything that is made while there are no keys.
LOCAL_OWNER = "local"
#: How long a key is taken to be still valid, and of how many this is remembered.
KEY_SECONDS = 1.0
KNOWN_KEYS = 10_000
_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
_PORT = re.compile(r":[0-9]*$")

bearer = HTTPBearer(auto_error=False, description="An API key: `Authorization: Bearer key_….…`")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


@dataclass(frozen=True, kw_only=True)
class Caller:
    owner: str
    scopes: tuple[str, ...]


async def identify(request: Request, credentials: Credentials) -> Caller:
    """The caller of a request. Runs before a byte of an upload's body is read."""
    state = request.app.state
    if credentials is None:
        return await run_in_threadpool(_without_key, request, state.database)
    known: KnownKeys = state.known_keys
    caller = known.get(credentials.credentials)
    if caller is None:
        caller = await run_in_threadpool(_authenticate, known, state.database, credentials.credentials)
    return caller


class KnownKeys:
    """Keys that were found valid a moment ago, so that a client's next request costs no query for them.

    A key that is revoked is refused at most KEY_SECONDS later; at once if this process revoked it.
    """

    def __init__(self) -> None:
        self._callers: dict[bytes, tuple[float, Caller]] = {}

    def get(self, token: str) -> Caller | None:
        known = self._callers.get(_digest(token))
        return known[1] if known and time.monotonic() < known[0] else None

    def add(self, token: str, caller: Caller) -> None:
        if len(self._callers) >= KNOWN_KEYS:
            self._callers.clear()
        self._callers[_digest(token)] = (time.monotonic() + KEY_SECONDS, caller)

    def forget(self) -> None:
        self._callers.clear()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _authenticate(known: KnownKeys, database: Database, token: str) -> Caller:
    with database.reading() as session:
        key = keys.authenticate(session, token)
    if key.last_used_at is None or key.last_used_at < datetime.now(UTC) - timedelta(minutes=1):
        try:
            with database.writing() as session:
                keys.note_use(session, key.id)
        except DBAPIError as error:  # what only reads is answered by a database that cannot be written to
            log.warning("use of a key not noted", key_id=key.id, error=str(error.orig))
    caller = Caller(owner=key.owner, scopes=tuple(key.scopes))
    known.add(token, caller)
    return caller


def _without_key(request: Request, database: Database) -> Caller:
    state = request.app.state
    if not getattr(state, "keys_exist", False):
        with database.reading() as session:
            state.keys_exist = keys.any_key(session)
    if state.keys_exist:
        raise Unauthenticated("an API key is needed: Authorization: Bearer <key>")
    # The name guards against a web page that resolves its own name to 127.0.0.1.
    host = _PORT.sub("", request.headers.get("host", "")).lower()
    client = request.client.host if request.client else ""
    if not is_loopback(client) or host not in _LOCAL_NAMES:
        raise Forbidden("without API keys only this machine is served, as localhost", code="local_only")
    return Caller(owner=LOCAL_OWNER, scopes=SCOPES)


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Requires:
    """Dependency: a caller with a scope."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, caller: Annotated[Caller, Depends(identify)]) -> Caller:
        if self.scope not in caller.scopes:
            raise Forbidden(f"this API key lacks the scope {self.scope!r}", code="missing_scope")
        return caller


Reader = Annotated[Caller, Depends(Requires("read"))]
Writer = Annotated[Caller, Depends(Requires("write"))]
Admin = Annotated[Caller, Depends(Requires("admin"))]
