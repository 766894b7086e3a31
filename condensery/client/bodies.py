"""What both clients send."""

from datetime import datetime
from typing import Any, TypeVar, overload

import httpx2

from condensery.client.effects import CONNECT_SECONDS, READ_SECONDS
from condensery.client.fields import Resource

V = TypeVar("V")
TIMEOUT = httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)


def address(server: str) -> str:
    """Raises ValueError."""
    try:
        url = httpx2.URL(server)
    except httpx2.InvalidURL as error:
        raise ValueError(f"{server!r} is no address of a server: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"{server!r} is no address of a server: it must be as http://127.0.0.1:8000")
    return server.rstrip("/")


def headers(api_key: str | None) -> dict[str, str]:
    """Raises ValueError."""
    if api_key is not None and not (api_key.isascii() and api_key.isprintable() and " " not in api_key):
        raise ValueError("the API key has characters that no key has: blanks, or what is not ASCII")
    return {"Authorization": f"Bearer {api_key}"} if api_key else {}


def dataset(**settings: Any) -> dict[str, Any]:
    return _given(settings)


def job(dataset: Resource | str, *, ipc: int, **settings: Any) -> dict[str, Any]:
    return {"dataset_id": id_of(dataset), "ipc": ipc, **_given(settings)}


def key(name: str, *, expires_at: datetime | None, **settings: Any) -> dict[str, Any]:
    at = None if expires_at is None else expires_at.isoformat()
    return _given({"name": name, "expires_at": at, **settings})


@overload
def id_of(resource: Resource | str) -> str: ...
@overload
def id_of(resource: Resource | str | None) -> str | None: ...
def id_of(resource: Resource | str | None) -> str | None:
    return resource.id if isinstance(resource, Resource) else resource


def _given(settings: dict[str, V | None]) -> dict[str, V]:
    """The server has defaults for the rest."""
    return {name: value for name, value in settings.items() if value is not None}
