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
from functools import partial
from typing import Any

import structlog
from fastapi.sse import format_sse_event
from sqlalchemy.exc import SQLAlchemyError

from api.events.topic import Encoded, Follower, History, Topic
from api.schemas.common import EventOut
from core.catalogue.keys import no_longer_valid
from core.db.session import Database
from core.errors import Overloaded, QuotaExceeded
from core.work.event_feed import absent, new_events

log = structlog.get_logger(__name__)

#: Between two polls for events. What a poll takes comes on top of it.
POLL_SECONDS = 0.08
#: Between two checks for subjects that were deleted, and keys that were revoked.
ABSENT_SECONDS = 1.0
#: After a poll that failed.
RETRY_SECONDS = 1.0
EVENTS_AT_ONCE = 2000

#: Reads the history after a position. Raises NotFound: the subject was deleted.
Read = Callable[[int], History]


def encode_event(event: Any) -> Encoded:
    data = EventOut.model_validate(event).model_dump_json()
    return event.seq, format_sse_event(event=event.type, data_str=data, id=str(event.seq))


class EventHub:
    """The followed subjects, the task that polls for their events, and how many streams there may be."""

    def __init__(self, database: Database, *, in_all: int, per_owner: int) -> None:
        self._database = database
        self._in_all = in_all
        self._per_owner = per_owner
        self._open: Counter[str] = Counter()
        self._topics: dict[str, Topic] = {}
        self._keys: Counter[str] = Counter()
        # How far the topics are that have been read: what a poll asks for. Not gathered anew for each.
        self._seen: dict[str, int] = {}
        self._seen_is_old = False
        self._polling: asyncio.Task[None] | None = None
        # Not the threads of requests: neither may keep the other waiting.
        self._poll_thread = ThreadPoolExecutor(1, thread_name_prefix="events")
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
                f"{self._per_owner} event streams of yours are open, which is the limit",
                code="too_many_streams",
                limit=self._per_owner,
            )
        if self._open.total() >= self._in_all:
            raise Overloaded(
                f"{self._in_all} event streams are open, which is the limit of this server: try again later",
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
        self, subject: str, seq: int, last_types: Iterable[str], key_id: str | None
    ) -> Iterator[tuple[Topic, Follower]]:
        """Follow a subject's events after `seq`, and be woken if the key is no longer valid.

        `last_types` are the types after which none comes.
        """
        topic = self._topics.get(subject)
        if topic is None:
            topic = self._topics[subject] = Topic(frozenset(last_types))
        follower = Follower(seq, key_id)
        topic.followers.add(follower)
        if key_id is not None:
            self._keys[key_id] += 1
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll_until_nobody_follows())
        try:
            yield topic, follower
        finally:
            topic.followers.discard(follower)
            if key_id is not None:
                self._keys[key_id] -= 1
                if not self._keys[key_id]:
                    del self._keys[key_id]
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

    async def _poll_until_nobody_follows(self) -> None:
        loop = asyncio.get_running_loop()
        absent_due = time.monotonic() + ABSENT_SECONDS
        while self._topics and not self.closing:
            if self._seen_is_old:
                self._seen = {one: topic.seq for one, topic in self._topics.items() if topic.seq is not None}
                self._seen_is_old = False
            due = time.monotonic() >= absent_due
            keys = [*self._keys] if due else []
            pause = POLL_SECONDS
            try:
                poll = partial(self._poll, self._seen, keys, for_absent=due)
                found, gone, refused = await loop.run_in_executor(self._poll_thread, poll)
            except SQLAlchemyError as error:
                if self.reading_database:
                    log.warning("events cannot be read; streams wait", error=str(error))
                self.reading_database, pause = False, RETRY_SECONDS
            else:
                if not self.reading_database:
                    log.info("events can be read again")
                self.reading_database = True
                if due:
                    absent_due = time.monotonic() + ABSENT_SECONDS
                if refused:
                    self._dismiss(refused)
                if self._spread(found, gone):
                    pause = 0
            await asyncio.sleep(pause)

    def _poll(
        self, seen: dict[str, int], keys: list[str], *, for_absent: bool
    ) -> tuple[list[tuple[str, str, Encoded]], set[str], set[str]]:
        if not seen:
            return [], set(), set()
        with self._database.reading() as session:
            rows = new_events(session, seen, EVENTS_AT_ONCE)
            gone = absent(session, seen) if for_absent else set()
            refused = no_longer_valid(session, keys) if keys else set()
        return [(row.subject_id, row.type, encode_event(row)) for row in rows], gone, refused

    def _dismiss(self, keys: set[str]) -> None:
        """End the streams of keys that are no longer valid: whoever asks again is told so."""
        for topic in self._topics.values():
            for follower in topic.followers:
                if follower.key_id in keys:
                    follower.refused = True
                    follower.wake()

    def _spread(self, found: list[tuple[str, str, Encoded]], gone: set[str]) -> bool:
        """Hand out what a poll found. Returns whether there may be more already."""
        touched: dict[str, Topic] = {}
        for subject, kind, (seq, encoded) in found:
            topic = self._topics.get(subject)
            if topic is None or topic.seq is None:
                continue
            if subject not in touched:
                topic.forget()
                touched[subject] = topic
            if seq == topic.seq + 1:  # if it is not, the next poll finds what is between
                topic.add(seq, kind, encoded)
                self._seen[subject] = seq
        for subject in gone:
            if topic := self._topics.get(subject):
                topic.over = True
                touched[subject] = topic
        for topic in touched.values():
            topic.wake()
        return len(found) >= EVENTS_AT_ONCE
