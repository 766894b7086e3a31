"""Bodies to disk as they come."""

import asyncio
import base64
from typing import Protocol

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from api.server.slow_bodies import BodyTooSlow
from core.errors import Malformed, TooLarge
from core.storage.receiver import Receiver

#: Large enough that the hop to a thread costs little, small enough that memory stays flat.
CHUNK = 1 << 20

#: The app's limit of a body is for JSON; who receives an upload keeps its own, and can name it.
OWN_LIMIT = 1 << 62


class Sink(Protocol):
    """Where a body goes."""

    def write(self, chunk: bytes) -> None: ...


async def receive_body(request: Request, sink: Sink, limit: int) -> None:
    """Stream a request's body into `sink`: a chunk is written while the next is received.

    Raises:
        TooLarge: declared (then nothing is read) or counted.
        Malformed, BodyTooSlow: the client went away or fell silent before the end; what had come is written.
    """
    declared = request.headers.get("content-length")
    if declared is not None and int(declared) > limit:
        raise TooLarge(
            f"the upload has {declared} bytes; the limit is {limit}", limit=limit, value=int(declared)
        )
    behind = _WriteBehind(sink)
    received = 0
    try:
        async for chunk in request.stream():
            received += len(chunk)
            if received > limit:
                raise TooLarge(f"the upload is larger than the limit of {limit} bytes", limit=limit)
            await behind.write(chunk)
        await behind.flush()
    except ClientDisconnect as error:
        await behind.flush()
        raise Malformed(f"the upload ended after {received} bytes") from error
    except BodyTooSlow:
        await behind.flush()
        raise
    finally:
        await behind.settle()


class _WriteBehind:
    """Collects chunks and writes them in a thread, one batch at a time."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._chunks: list[bytes] = []
        self._size = 0
        self._writing: asyncio.Task[None] | None = None

    async def write(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size >= CHUNK:
            await self._write()

    async def flush(self) -> None:
        await self._write()
        await self.settle()

    async def settle(self) -> None:
        """Wait for what is being written. Raises what that raised, once."""
        if self._writing is not None:
            # Not to be cancelled with the request: the thread would go on, into a file that is closed.
            await asyncio.wait({self._writing})
            done, self._writing = self._writing, None
            done.result()

    async def _write(self) -> None:
        await self.settle()
        chunks, self._chunks, self._size = self._chunks, [], 0
        self._writing = asyncio.create_task(run_in_threadpool(lambda: self._sink.write(b"".join(chunks))))


def check_digest(header: str | None, receiver: Receiver) -> bool:
    """Whether the bytes are those that a `Content-Digest` or `Repr-Digest` (RFC 9530) announced.

    True if nothing with an algorithm that we know was announced.
    """
    for member in (header or "").split(","):
        algorithm, _, value = member.strip().partition("=")
        if algorithm == "sha-256":
            return value == repr_digest(receiver.sha256).partition("=")[2]
    return True


def repr_digest(sha256: str) -> str:
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"
