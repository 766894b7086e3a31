"""One reader of the database for all open event streams of this process.

A stream is only a position in its subject's history. What it has not sent it takes from the few newest
events that the hub keeps of each followed subject, encoded once for everybody; what is older than those, as
when it has just connected or its client reads slowly, it reads from the database. Either way it sends the
event after its position and no other, so nothing is lost or doubled, and nothing piles up for a client that
does not read.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi.sse import format_sse_event
from sqlalchemy.exc import SQLAlchemyError

from api.schemas.common import EventOut
from core.db.session import Database
from core.errors import Overloaded, QuotaExceeded
from core.jobs.event_feed import absent, new_events

log = structlog.get_logger(__name__)

#: Between two looks for events. What a look takes comes on top of it.
POLL_SECONDS = 0.08
#: Between two looks for subjects that were deleted.
ABSENT_SECONDS = 1.0
#: After a look that failed.
RETRY_SECONDS = 1.0
EVENTS_AT_ONCE = 2000
#: Kept of a subject for its streams; a stream that falls further behind reads the database.
KEPT_BYTES = 64 << 10

Encoded = tuple[int, bytes]


@dataclass(frozen=True, kw_only=True)
class History:
    """A part of a subject's history: events after a position, and how far the subject was before they were
    read. `final` is the closing message, once nothing more can come."""

    events: list[Encoded]
    seq: int
    final: bytes | None


#: Reads the history after a position. Raises NotFound: the subject was deleted.
Read = Callable[[int], History]


def encode_event(event: Any) -> Encoded:
    data = EventOut.model_validate(event).model_dump_json()
    return event.seq, format_sse_event(event=event.type, data_str=data, id=str(event.seq))


@dataclass(eq=False, slots=True)
class Follower:
    """A stream as its topic sees it: how far it is, and how to wake it.

    An asyncio.Event would do, but holds a queue of some 700 bytes for those that wait: here only one does.
    """

    seq: int
    told: bool = False
    _waiter: asyncio.Future[None] | None = None

    def tell(self) -> None:
        """There is something to look at."""
        self.told = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Until it is told, if it has not been."""
        if self.told:
            return
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


class Topic:
    """A subject that somebody follows.

    `seq` is how far the hub has read, None before the first look; `kept` are the newest events up to it.
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
            follower.tell()


class EventHub:
    """The followed subjects, the task that looks for their events, and how many streams there may be."""

    def __init__(self, database: Database, *, in_all: int, per_owner: int) -> None:
        self._database = database
        self._in_all = in_all
        self._per_owner = per_owner
        self._open: Counter[str] = Counter()
        self._topics: dict[str, Topic] = {}
        # How far the topics are that have been read: what a look asks for. Not gathered anew for each.
        self._seen: dict[str, int] = {}
        self._seen_is_old = False
        self._looking: asyncio.Task[None] | None = None
        # Not the threads of requests: neither may keep the other waiting.
        self._look_thread = ThreadPoolExecutor(1, thread_name_prefix="events")
        self._read_threads = ThreadPoolExecutor(2, thread_name_prefix="replay")
        self.closing = False
        self.reading_database = True

    @contextmanager
    def admitted(self, owner: str) -> Iterator[None]:
        """Count a stream for as long as it is open.

        Raises:
            QuotaExceeded: the owner has as many as allowed.
            Overloaded: the server has, or it is shutting down.
        """
        if self.closing:
            raise Overloaded("the server is shutting down", code="shutting_down")
        if self._open[owner] >= self._per_owner:
            raise QuotaExceeded(
                f"{self._per_owner} event streams are open, as many as an owner may have",
                code="too_many_streams",
                limit=self._per_owner,
            )
        if self._open.total() >= self._in_all:
            raise Overloaded(
                f"{self._in_all} event streams are open, as many as this server serves",
                code="streams_exhausted",
                limit=self._in_all,
            )
        self._open[owner] += 1
        try:
            yield
        finally:
            self._open[owner] -= 1
            if not self._open[owner]:
                del self._open[owner]

    @contextmanager
    def following(
        self, subject: str, seq: int, last_types: Iterable[str]
    ) -> Iterator[tuple[Topic, Follower]]:
        """Be told of a subject's events after `seq`. `last_types` are the types after which none comes."""
        topic = self._topics.get(subject)
        if topic is None:
            topic = self._topics[subject] = Topic(frozenset(last_types))
        follower = Follower(seq)
        topic.followers.add(follower)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_until_nobody_follows())
        try:
            yield topic, follower
        finally:
            topic.followers.discard(follower)
            if not topic.followers and self._topics.get(subject) is topic:
                del self._topics[subject]
                self._seen_is_old = True

    async def read(self, topic: Topic, seq: int, read: Read) -> History:
        """History from the database: one read for all streams of a subject that ask for the same."""
        under_way = topic.reading.get(seq)
        if under_way is None:
            loop = asyncio.get_running_loop()
            under_way = topic.reading[seq] = loop.run_in_executor(self._read_threads, read, seq)
            under_way.add_done_callback(lambda _: topic.reading.pop(seq, None))
        history = await asyncio.shield(under_way)  # others may wait for it
        if topic.seq is None:
            topic.seq = history.seq
            self._seen_is_old = True
        topic.over = topic.over or history.final is not None
        return history

    def close(self) -> None:
        """End every stream now; their clients come back to another process with `Last-Event-ID`."""
        self.closing = True
        for topic in self._topics.values():
            topic.wake()

    async def _look_until_nobody_follows(self) -> None:
        loop = asyncio.get_running_loop()
        look_for_absent = time.monotonic() + ABSENT_SECONDS
        while self._topics and not self.closing:
            if self._seen_is_old:
                self._seen = {one: topic.seq for one, topic in self._topics.items() if topic.seq is not None}
                self._seen_is_old = False
            due = time.monotonic() >= look_for_absent
            pause = POLL_SECONDS
            try:
                found, gone = await loop.run_in_executor(self._look_thread, self._look, self._seen, due)
            except SQLAlchemyError as error:
                if self.reading_database:
                    log.warning("events cannot be read; streams wait", error=str(error))
                self.reading_database, pause = False, RETRY_SECONDS
            else:
                if not self.reading_database:
                    log.info("events can be read again")
                self.reading_database = True
                if due:
                    look_for_absent = time.monotonic() + ABSENT_SECONDS
                if self._spread(found, gone):
                    pause = 0
            await asyncio.sleep(pause)

    def _look(
        self, seen: dict[str, int], for_absent: bool
    ) -> tuple[list[tuple[str, str, Encoded]], set[str]]:
        if not seen:
            return [], set()
        with self._database.reading() as session:
            rows = new_events(session, seen, EVENTS_AT_ONCE)
            gone = absent(session, seen) if for_absent else set()
        return [(row.subject_id, row.type, encode_event(row)) for row in rows], gone

    def _spread(self, found: list[tuple[str, str, Encoded]], gone: set[str]) -> bool:
        """Hand out what a look found. Returns whether there may be more already."""
        touched: dict[str, Topic] = {}
        for subject, kind, (seq, encoded) in found:
            topic = self._topics.get(subject)
            if topic is None or topic.seq is None:
                continue
            if subject not in touched:
                topic.forget()
                touched[subject] = topic
            if seq == topic.seq + 1:  # if it is not, the next look finds what is between
                topic.add(seq, kind, encoded)
                self._seen[subject] = seq
        for subject in gone:
            if topic := self._topics.get(subject):
                topic.over = True
                touched[subject] = topic
        for topic in touched.values():
            topic.wake()
        return len(found) >= EVENTS_AT_ONCE
