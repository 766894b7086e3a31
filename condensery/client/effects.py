"""What an operation asks of the world. Operations are generators over these, so that each is written once,
and driven by a client that waits (drivers.Driver) or by asyncio (drivers.AsyncDriver).

A connection that fails is raised inside the operation, at the effect, as httpx2.TransportError.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

#: Longer than the server's event streams are ever silent.
READ_SECONDS = 60.0
#: A host that swallows packets is not waited for as one that thinks.
CONNECT_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Send:
    """A request, whose answer is read whole: the result is the httpx2.Response.

    Args:
        body: bytes to stream; Content-Length is the operation's to set.
        told: how many bytes of the body were taken, after each piece.
        read_seconds: how long the server may take to answer.
    """

    method: str
    path: str
    params: Mapping[str, str | int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    body: Iterator[bytes] | None = None
    told: Callable[[int], None] | None = None
    read_seconds: float = READ_SECONDS


@dataclass(frozen=True, kw_only=True)
class Open:
    """A request, whose answer is read by `Next`: the result is the httpx2.Response, its body unread unless
    the status is an error. It replaces the one opened before.

    Args:
        events: the answer is a stream of server-sent events, if it is no error.
    """

    path: str
    headers: Mapping[str, str]
    events: bool = False


@dataclass(frozen=True)
class Next:
    """The next bytes, or the next httpx2.ServerSentEvent, of what is open; None at its end."""


@dataclass(frozen=True)
class Sleep:
    """Wait."""

    seconds: float


@dataclass(frozen=True)
class Emit:
    """An item for whoever iterates over the operation."""

    item: Any


Effect = Send | Open | Next | Sleep | Emit
Operation = Generator[Effect, Any, T]
