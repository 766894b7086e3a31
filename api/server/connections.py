"""A connection and what it may cost: uvicorn's HTTP/1.1, with deadlines and bounds that it does not have.

A client has a time for the head of a request, must take answers at some rate, and gets no more of a body
read than the answer needed. How slow a body may be is api/server/slow_bodies.py's: it can still be answered.
"""

import asyncio
import socket
import struct
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import h11
import structlog
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.events.stream import CONNECTION
from api.problems import problem
from api.server.zero_copy import ZERO_COPY, FileSender
from core.settings import Settings

log = structlog.get_logger(__name__)

#: Of request line and headers together.
HEAD_BYTES = 16 << 10
#: What is read of a body that nobody asked for: so much may come with the head, and after an answer so
#: much is read and thrown away, that a small body leaves the connection fit for the next request.
FIRST_READ_BYTES = 16 << 10
DISCARDED_BYTES = 32 << 10
#: asyncio's own, for a body that somebody reads.
READ_BYTES = 256 << 10
#: How long a client that still sends after its answer is listened to, and then left to see the answer.
LINGER_SECONDS = 2
CHECKS_PER_DEADLINE = 10
_NO_OPTIONS: dict[str, object] = {}


class Connection(H11Protocol):
    """One connection. `settings` is set by `of`."""

    # Beside uvicorn's own they would be more attributes than CPython lets the objects of a class share the
    # names of: 1 KiB a connection.
    __slots__ = ("_head_since", "_inner", "_look", "_lost", "_pending", "_seen", "_sender", "_unasked")

    settings: Settings
    _head_since: float | None
    _seen: object
    _unasked: int | None
    _pending: tuple[float, int] | None
    _look: asyncio.TimerHandle
    _sender: FileSender | None
    _lost: Callable[[], None] | None

    @classmethod
    def of(cls, settings: Settings) -> "type[Connection]":
        return type(cls.__name__, (cls,), {"settings": settings})

    def connection_made(self, transport: Any) -> None:
        self._seen = self._unasked = self._pending = self._sender = self._lost = None
        super().connection_made(transport)
        transport.max_size = FIRST_READ_BYTES
        if len(self.connections) > self.settings.max_connections:
            self.app = _refuse
        self._inner, self.app = self.app, self._serve
        self._head_since = self.loop.time()
        self._schedule_check()

    def connection_lost(self, exc: Exception | None) -> None:
        self._next_check.cancel()
        if self._sender is not None:
            self._sender.stop()
        if self._lost is not None:
            self._lost()
        self.app = self._inner  # not a method of this object: it would wait for the garbage collector
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_since is None and self.conn.their_state is h11.IDLE:
            self._head_since = self.loop.time()
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._head_since = None
        if self.conn.their_state is not h11.SEND_BODY:
            self._unasked = None
        elif self._unasked is not None:
            self._unasked += len(data)
            if self._unasked > DISCARDED_BYTES:
                self._hang_up()
        elif self.cycle is not self._seen:
            self._until_asked()
        else:
            self.transport.max_size = READ_BYTES  # type: ignore[attr-defined]

    def on_response_complete(self) -> None:
        self.transport.max_size = FIRST_READ_BYTES  # type: ignore[attr-defined]
        unread = self.conn.their_state is h11.SEND_BODY
        super().on_response_complete()  # which may go on with the next request, if its head is here already
        if self.transport.is_closing():
            return
        if unread:
            self._unasked = 0
            self.loop.call_later(LINGER_SECONDS, self._hang_up_if_unread, self.cycle)
        elif self.conn.their_state is h11.SEND_BODY:
            self._until_asked()

    def _until_asked(self) -> None:
        """Read no more until the application asks for the body (and so resumes reading): it may refuse it."""
        self._seen = self.cycle
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        self._pending = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP, or too much of it."""
        self._answer(
            400, "malformed", f"not a request of HTTP/1.1, or one with a head of more than {HEAD_BYTES} bytes"
        )

    def _serve(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """The application, with the extensions that uvicorn does not have."""

        def send_or_copy(message: Message) -> Awaitable[None]:
            return self._copy(message, send) if message["type"] == ZERO_COPY else send(message)

        scope["extensions"] = {CONNECTION: weakref.ref(self)}  # or it would wait for the garbage collector
        if self.scheme == "http":  # under TLS the kernel would send in clear
            scope["extensions"][ZERO_COPY] = _NO_OPTIONS
        answered: Awaitable[None] = self._inner(scope, receive, send_or_copy)
        return answered

    async def write(self, part: bytes) -> None:
        """A part of a body without an announced length, once the client has taken most of those before."""
        if self.flow.write_paused:
            await self.flow.drain()
        if not self.transport.is_closing():
            self._write(part)

    def write_now(self, part: bytes) -> bool:
        """As `write`, and True, if there is nothing to wait for."""
        open_to_it = self.conn.our_state is h11.SEND_BODY and not self.transport.is_closing()
        if not open_to_it or self.flow.write_paused:
            return False
        self._write(part)
        return True

    def _write(self, part: bytes) -> None:
        self.transport.write(self.conn.send(h11.Data(data=part)) or b"")

    def when_lost(self, call: Callable[[], None] | None) -> None:
        """Have this called, in place of what was to be called before; at once if it is lost already."""
        self._lost = call
        if call is None:
            return
        self.flow.resume_reading()  # paused where a body was announced: only who reads sees the end
        if self.transport.is_closing():
            call()

    async def _copy(self, message: Message, send: Send) -> None:
        """A body from a file. Its length must have been announced."""
        # Whatever is before it in the buffer must be in the socket first.
        low, high = self.transport.get_write_buffer_limits()
        self.transport.set_write_buffer_limits(0)
        await self.flow.drain()
        self.transport.set_write_buffer_limits(high, low)
        if not self.transport.is_closing():
            announced = h11.Data(data=_Elsewhere(message["count"]))  # type: ignore[arg-type]
            if self.conn.send_with_data_passthrough(announced) != [announced.data]:
                raise RuntimeError("a file is sent only where Content-Length was")
            await self._send_file(message)
        await send({"type": "http.response.body", "body": b""})

    async def _send_file(self, message: Message) -> None:
        raw = self.transport.get_extra_info("socket")
        self._sender = FileSender(raw, message["file"].fileno(), message["offset"], message["count"])
        try:
            await self._sender.send()
        except ConnectionError:
            self.transport.abort()
        except OSError as error:
            log.error("a download broke off", error=str(error))
            self.transport.abort()  # by which the client sees that bytes are missing
        finally:
            self._sender, self._pending = None, None

    def _answer(self, status: int, code: str, detail: str) -> None:
        """Answer in place of the application, and close."""
        if self.transport.is_closing():
            return
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            answer = problem(status, code, detail, headers={"Connection": "close"})
            for event in (
                h11.Response(status_code=status, headers=answer.raw_headers),
                h11.Data(data=bytes(answer.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _hang_up_if_unread(self, cycle: object) -> None:
        if self.cycle is cycle and self._unasked is not None and not self.transport.is_closing():
            self._hang_up()

    def _hang_up(self) -> None:
        """Read no more. To close at once would reset the connection, perhaps before the answer is seen."""
        self._unset_keepalive_if_required()
        self.flow.pause_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _schedule_check(self) -> None:
        shortest = min(self.settings.head_seconds, self.settings.idle_seconds)
        self._next_check = self.loop.call_later(shortest / CHECKS_PER_DEADLINE, self._check_deadlines)

    def _check_deadlines(self) -> None:
        now = self.loop.time()
        if self._head_since is not None and now - self._head_since > self.settings.head_seconds:
            self._head_since = None
            seconds = f"{self.settings.head_seconds:g} s"
            self._answer(408, "head_too_slow", f"the head of the request was not complete after {seconds}")
        elif self._stuck(now):
            # Without this the kernel would go on offering megabytes that nobody takes.
            raw = self.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
            return
        self._schedule_check()

    def _stuck(self, now: float) -> bool:
        """Whether the client has taken less of what is waiting for it than it must.

        While writing is paused nothing is added; when all but a little was taken it is resumed, and the
        count starts anew. So does it when something was added all the same: then there was room.
        """
        waiting = self.transport.get_write_buffer_size() + (self._sender.waiting if self._sender else 0)
        if waiting == 0:
            self._pending = None
        elif self._pending is None or waiting > self._pending[1]:
            self._pending = now, waiting
        else:
            since, before = self._pending
            if now - since > self.settings.idle_seconds:
                if before - waiting < self.settings.min_bytes_per_second * (now - since):
                    return True
                self._pending = now, waiting
        return False


class _Elsewhere:
    """Bytes that h11 counts and does not see."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """The application for connections beyond the limit."""
    headers = {"Retry-After": "5", "Connection": "close"}
    await problem(503, "overloaded", "too many connections are open; try again", headers=headers)(
        scope, receive, send
    )
