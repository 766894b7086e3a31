"""A subject that streams follow, its newest events, and the streams as it sees them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

#: Kept of a subject for its streams; a stream that falls further behind reads the database.
KEPT_BYTES = 64 << 10

#: `seq`, and the message as it is sent.
Encoded = tuple[int, bytes]


@dataclass(frozen=True, kw_only=True)
class History:
    """A part of a subject's history: events after a position, and how far the subject was before they were
    read. `final` is the closing message, once nothing more can come."""

    events: list[Encoded]
    seq: int
    final: bytes | None


@dataclass(eq=False, slots=True)
class Follower:
    """A stream as its topic sees it: how far it is, by which key, and how to reach it.

    An asyncio.Event would do, but holds a queue of some 700 bytes for those that wait: here only one does.
    """

    seq: int
    key_id: str | None
    woken: bool = False
    refused: bool = False
    """The key has been revoked or has expired."""
    push: Callable[[], bool] | None = None
    """Sends the news at once and says True, if nothing stands against it."""
    _waiter: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """There is something to send, or to end for."""
        self.woken = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def news(self) -> None:
        """There are events, or there will be none. Who only waits for them need not be woken to send them."""
        waits = self._waiter is not None and not self._waiter.done()
        if not (waits and self.push is not None and self.push()):
            self.wake()

    async def wait(self) -> None:
        """Until it is woken, if it has not been."""
        if self.woken:
            return
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


class Topic:
    """A subject that somebody follows.

    `seq` is how far the hub has read, None before the first poll; `kept` are the newest events up to it.
    """

    __slots__ = ("_last_types", "followers", "kept", "over", "reading", "seq", "size")

    def __init__(self, last_types: frozenset[str]) -> None:
        self.seq: int | None = None
        self.kept: list[Encoded] = []  # few, mostly one: a deque takes room for 64
        self.size = 0
        self.over = False  # deleted, or in its last state: what remains to be said is in the database
        self.followers: set[Follower] = set()
        self.reading: dict[int, asyncio.Future[History]] = {}
        self._last_types = last_types

    def add(self, seq: int, kind: str, encoded: bytes) -> None:
        self.kept.append((seq, encoded))
        self.size += len(encoded)
        self.seq = seq
        self.over = self.over or kind in self._last_types

    def forget(self) -> None:
        """Drop what every stream has sent, and what is too much."""
        needed = min((follower.seq for follower in self.followers), default=0)
        dropped = 0
        for seq, encoded in self.kept:
            if seq > needed and self.size <= KEPT_BYTES:
                break
            self.size -= len(encoded)
            dropped += 1
        del self.kept[:dropped]

    def after(self, seq: int) -> list[Encoded] | None:
        """The kept events after a position, none if there are none; None if only the database has them."""
        if self.seq is None:
            return None
        if seq >= self.seq:
            return []
        if not self.kept or seq < self.kept[0][0] - 1:
            return None
        return [event for event in self.kept if event[0] > seq]

    def wake(self) -> None:
        for follower in self.followers:
            follower.news()
