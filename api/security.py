"""Who calls: an API key, a browser that signed in with one, or, as long as no key was ever made, anybody on
this machine."""

import hashlib
import ipaddress
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit

import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.exc import DBAPIError
from starlette.concurrency import run_in_threadpool

from core.catalogue import keys, sign_ins
from core.catalogue.keys import SCOPES, Scope
from core.db.models import ApiKey
from core.db.session import Database
from core.errors import Forbidden, Unauthenticated

log = structlog.get_logger(__name__)

#: The owner of everything that is made while there are no keys.
LOCAL_OWNER = "local"
#: How long a key is taken to be still valid, and of how many this is remembered.
KEY_SECONDS = 1.0
KNOWN_KEYS = 10_000
#: The cookie of a browser that signed in. Its prefix binds it to this host, and to TLS or loopback.
COOKIE = "__Host-condensery"
Kind = Literal["key", "cookie"]
_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
_PORT = re.compile(r":[0-9]*$")

bearer = HTTPBearer(auto_error=False, description="An API key: `Authorization: Bearer key_….…`")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


@dataclass(frozen=True, kw_only=True)
class Caller:
    """`key_id` is None while no key was ever made."""

    owner: str
    scopes: tuple[str, ...]
    key_id: str | None = None


async def identify(request: Request, credentials: Credentials) -> Caller:
    """The caller of a request. Runs before a byte of an upload's body is read."""
    state = request.app.state
    known: KnownKeys = state.known_keys
    cookie = request.cookies.get(COOKIE)
    if credentials is not None:
        token = credentials.credentials
        if (found := known.get("key", token)) is not None:
            return found
        return await run_in_threadpool(_by_key, known, state.database, token)
    if cookie is not None:
        refuse_cross_origin(request, origin_required=True)
        caller = known.get("cookie", cookie)
        if caller is None:
            caller = await run_in_threadpool(_by_cookie, known, state.database, cookie)
        if caller is not None:
            return caller
    refuse_cross_origin(request, origin_required=False)
    return await run_in_threadpool(_without_key, request, state.database)


def refuse_cross_origin(request: Request, *, origin_required: bool) -> None:
    """Another site's page must not act for whoever looks at it: neither by a cookie, which the browser adds,
    nor from this machine, where no key is needed.

    Browsers say where a request that may change something comes from; what is no browser need not.

    Args:
        origin_required: refuse, too, what does not say where it comes from.

    Raises:
        Forbidden
    """
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        same = site in ("same-origin", "none")
    elif origin is not None:
        # By name alone: behind a proxy with TLS the scheme is not known here.
        same = urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
    else:
        same = not origin_required
    if not same:
        raise Forbidden("the request comes from a page of another site", code="cross_origin")


class KnownKeys:
    """Keys and cookies that were found valid a moment ago, so that a client's next request costs no query for
    them.

    A key that is revoked is refused at most KEY_SECONDS later; at once if this process revoked it.
    """

    def __init__(self) -> None:
        self._callers: dict[bytes, tuple[float, Caller]] = {}

    def get(self, kind: Kind, token: str) -> Caller | None:
        known = self._callers.get(_digest(kind, token))
        return known[1] if known and time.monotonic() < known[0] else None

    def add(self, kind: Kind, token: str, caller: Caller) -> None:
        if len(self._callers) >= KNOWN_KEYS:
            self._callers.clear()
        self._callers[_digest(kind, token)] = (time.monotonic() + KEY_SECONDS, caller)

    def forget(self) -> None:
        self._callers.clear()


def _digest(kind: Kind, token: str) -> bytes:
    return hashlib.sha256(f"{kind}\0{token}".encode()).digest()


def _by_key(known: KnownKeys, database: Database, token: str) -> Caller:
    with database.reading() as session:
        key = keys.authenticate(session, token)
    return _remember(known, database, "key", token, key)


def _by_cookie(known: KnownKeys, database: Database, token: str) -> Caller | None:
    """None if it opens nothing (any more)."""
    try:
        with database.reading() as session:
            key = sign_ins.key_of(session, token)
    except Unauthenticated:
        return None
    return _remember(known, database, "cookie", token, key)


def _remember(known: KnownKeys, database: Database, kind: Kind, token: str, key: ApiKey) -> Caller:
    if key.last_used_at is None or key.last_used_at < datetime.now(UTC) - timedelta(minutes=1):
        try:
            with database.writing() as session:
                keys.note_use(session, key.id)
        except DBAPIError as error:  # what only reads is answered by a database that cannot be written to
            log.warning("use of a key not noted", key_id=key.id, error=str(error.orig))
    caller = Caller(owner=key.owner, scopes=tuple(key.scopes), key_id=key.id)
    known.add(kind, token, caller)
    return caller


def _without_key(request: Request, database: Database) -> Caller:
    state = request.app.state
    if not getattr(state, "keys_exist", False):
        with database.reading() as session:
            state.keys_exist = keys.any_key(session)
    if state.keys_exist:
        raise Unauthenticated("send an API key: Authorization: Bearer <key>")
    client = request.client.host if request.client else ""
    # The name guards against a web page that resolves its own name to 127.0.0.1.
    if not is_loopback(client) or not is_local_name(request.headers.get("host", "")):
        raise Forbidden(
            "until an API key is made, only requests from this machine to localhost are served",
            code="local_only",
        )
    return Caller(owner=LOCAL_OWNER, scopes=SCOPES)


def is_local_name(host: str) -> bool:
    """Whether a host, with or without a port, is this machine by name."""
    return _PORT.sub("", host).lower() in _LOCAL_NAMES


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
