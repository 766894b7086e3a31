"""What both clients send."""

from typing import Any, TypeVar, overload

import httpx2

from condensery.client.fields import Resource

V = TypeVar("V")


def timeout(read_seconds: float = 60.0) -> httpx2.Timeout:
    """A host that swallows packets is not waited for as one that thinks.

    Args:
        read_seconds: how long the server may say nothing; the default is longer than its event streams do.
    """
    return httpx2.Timeout(60.0, connect=10.0, read=read_seconds)


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


def job(
    dataset: Resource | str | None, condensed_set: Resource | str | None, **settings: Any
) -> dict[str, Any]:
    inputs = {"dataset_id": id_of(dataset), "condensed_set_id": id_of(condensed_set)}
    return given({**inputs, **settings})


@overload
def id_of(resource: Resource | str) -> str: ...
@overload
def id_of(resource: Resource | str | None) -> str | None: ...
def id_of(resource: Resource | str | None) -> str | None:
    return resource.id if isinstance(resource, Resource) else resource


def given(settings: dict[str, V | None]) -> dict[str, V]:
    """The server has defaults for the rest."""
    return {name: value for name, value in settings.items() if value is not None}
