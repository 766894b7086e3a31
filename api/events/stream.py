"""A `text/event-stream` answer: history, then events as they are written, then `end`.

Not a generator that FastAPI drives: it costs two tasks and two queues a stream, which a thousand streams
would take from whatever else the process serves.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Request
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.events.hub import EventHub, Read, encode_event
from api.events.topic import Encoded, Follower, History, Topic
from api.problems import responses
from api.security import Caller, Reader
from core.catalogue import rows
from core.db.models import CondensedSet, Dataset, Job
from core.db.session import Database
from core.errors import NotFound
from core.work.events import events_after

Row = TypeVar("Row", Job, Dataset, CondensedSet)

#: A stream that sent nothing this long sends a comment, at the latest after twice as long.
KEEPALIVE_SECONDS = 10.0
#: Between two tries to read history while the database is away.
RETRY_SECONDS = 1.0
HISTORY_AT_ONCE = 500

#: Name of an ASGI extension of our server: a weak reference to the connection itself. What wraps `send` looks
#: at the start of an answer and at its end, and every part of a thousand streams would pay for it; and a task
#: for each that only waits for its client to leave takes 2 KiB.
CONNECTION = "condensery.connection"

LastEventId = Annotated[
    int, Header(ge=0, lt=2**31, description="The id of the last event seen: the stream goes on behind it.")
]

STREAM_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "text/event-stream": {
                "itemSchema": {
                    "type": "object",
                    "properties": {name: {"type": "string"} for name in ("event", "data", "id")},
                }
            }
        }
    },
    **responses(404, 429),
}


def _hub(request: Request) -> EventHub:
    hub: EventHub = request.app.state.event_hub
    return hub


async def _admitted(request: Request, caller: Reader) -> AsyncIterator[Caller]:
    with _hub(request).admitted(caller.owner):
        yield caller


#: Whoever has one of the streams that the owner and the server may have open, until its answer is over.
Admitted = Annotated[Caller, Depends(_admitted)]


def history_of(
    database: Database,
    model: type[Row],
    owner: str,
    row_id: str,
    final: Callable[[Session, Row], BaseModel | None],
) -> Read:
    """Reads the events of a row, and `final` of it: the closing object once nothing more can come."""

    def read(seq: int) -> History:
        with database.reading() as session:
            # The row first: an event between the two reads would otherwise be missed.
            row = rows.get(session, model, owner, row_id)
            closing = final(session, row)
            events = [
                encode_event(event) for event in events_after(session, owner, row_id, seq, HISTORY_AT_ONCE)
            ]
        end = None if closing is None else format_sse_event(event="end", data_str=closing.model_dump_json())
        return History(events=events, seq=row.event_seq, final=end)

    return read


def _joined(events: list[Encoded]) -> bytes:
    return b"".join(encoded for _, encoded in events)


class _AnyConnection:
    """A connection as ASGI knows it, of servers without the extension."""

    _watching: asyncio.Task[None]

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send

    async def write(self, part: bytes) -> None:
        await self._send({"type": "http.response.body", "body": part, "more_body": True})

    def write_now(self, part: bytes) -> bool:
        return False

    def when_lost(self, call: Callable[[], None] | None) -> None:
        if call is None:
            self._watching.cancel()
        else:
            self._watching = asyncio.create_task(self._watch(call))

    async def _watch(self, call: Callable[[], None]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        call()


class EventStream(Response):
    """The events of one subject after `seq`, as long as the caller's key is valid."""

    media_type = "text/event-stream"

    def __init__(
        self,
        request: Request,
        caller: Caller,
        subject: str,
        seq: int,
        last_types: tuple[str, ...],
        read: Read,
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._hub = _hub(request)
        self._key_id = caller.key_id
        self._subject, self._seq = subject, seq
        self._last_types = last_types
        self._read = read
        self._gone = False
        self._silent = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        extended = scope.get("extensions", {}).get(CONNECTION)
        connection = extended() if extended else _AnyConnection(receive, send)
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        following = self._hub.following(self._subject, self._seq, self._last_types, self._key_id)
        with following as (topic, follower):
            connection.when_lost(partial(self._lost, follower))
            follower.push = partial(self._push, topic, follower, connection.write_now)
            self._keep_alive(follower)
            try:
                async for part in self._parts(topic, follower):
                    self._silent = False
                    await connection.write(part)
            finally:
                connection.when_lost(None)
                follower.push = None  # or it would wait for the garbage collector
                self._timer.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _push(self, topic: Topic, follower: Follower, write_now: Callable[[bytes], bool]) -> bool:
        events = topic.after(follower.seq)
        if topic.over or not events or not write_now(_joined(events)):
            return False
        follower.seq = events[-1][0]
        self._silent = False
        return True

    def _lost(self, follower: Follower) -> None:
        self._gone = True
        follower.wake()

    def _keep_alive(self, follower: Follower) -> None:
        # One timer that looks back, not one for every event.
        if self._silent:
            follower.wake()
        self._silent = True
        self._timer = asyncio.get_running_loop().call_later(KEEPALIVE_SECONDS, self._keep_alive, follower)

    async def _parts(self, topic: Topic, follower: Follower) -> AsyncIterator[bytes]:
        while not self._gone and not follower.refused and not self._hub.closing:
            follower.woken = False
            events, final = topic.after(follower.seq), None
            if events is None or (topic.over and not events):
                try:
                    history = await self._hub.read(topic, follower.seq, self._read)
                except NotFound:
                    return  # deleted meanwhile: who asks again is told so
                except SQLAlchemyError:
                    yield KEEPALIVE_COMMENT
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                events, final = history.events, history.final
            if events:
                yield _joined(events)
                follower.seq = events[-1][0]
            elif final is not None:
                yield final
                return
            else:
                await follower.wait()
                if topic.after(follower.seq) == [] and not topic.over:
                    yield KEEPALIVE_COMMENT
