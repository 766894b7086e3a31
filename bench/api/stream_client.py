"""Many event streams in one process, at little cost: raw sockets, and of each message only its id and time.

`python -m bench.api.stream_client PORT TOKEN`. Reads from standard input, until an empty line, the job of
each stream and the `seq` after which it begins; says `open` when every stream has had its first message, and,
when standard input ends, what it saw.
"""

import asyncio
import json
import re
import sys
import time
from functools import partial

#: More of them would be asked to come again: they queue for the database.
AT_ONCE = 1000

_ID = re.compile(rb'"sent":\s*([0-9.]+).*?\nid: (\d+)', re.DOTALL)
_ANY_ID = re.compile(rb"\nid: (\d+)\n")


class Stream(asyncio.Protocol):
    """One stream: the last id, what was skipped or came twice, and how late each event was."""

    def __init__(self, request: bytes, after: int, delays: list[float]) -> None:
        self._request = request
        self._rest = b""
        self.delays = delays
        self.last = after
        self.lost = self.doubled = 0
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.broken = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Messages, each in a chunk or several; they end with an empty line."""
        now = time.time()
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        for block in blocks:
            found = _ANY_ID.search(block + b"\n")
            if found is None:
                continue
            seq = int(found[1])
            self.lost += max(0, seq - self.last - 1)
            self.doubled += seq <= self.last
            self.last = max(seq, self.last)
            if sent := _ID.search(block):
                self.delays.append(now - float(sent[1]))
            if not self.opened.done():
                self.opened.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Only at the end is that as it should be."""
        self.broken = True
        if not self.opened.done():
            self.opened.set_exception(exc or ConnectionError(f"it ended at once: {self._rest!r}"))

    def close(self) -> None:
        """Hang up."""
        self._transport.close()


async def follow(port: int, token: str, jobs: list[tuple[str, int]]) -> None:
    """Open all, wait for the end of standard input, print."""
    loop = asyncio.get_running_loop()
    delays: list[float] = []
    streams = []
    for job, after in jobs:
        head = (
            f"GET /v1/jobs/{job}/events/stream HTTP/1.1",
            f"Host: localhost:{port}",
            f"Authorization: Bearer {token}",
            f"Last-Event-ID: {after}",
        )
        request = "\r\n".join((*head, "", "")).encode()
        _, stream = await loop.create_connection(partial(Stream, request, after, delays), "127.0.0.1", port)
        streams.append(stream)
        if len(streams) % AT_ONCE == 0:
            await asyncio.gather(*(stream.opened for stream in streams[-AT_ONCE:]))
    await asyncio.gather(*(stream.opened for stream in streams))
    delays.clear()
    print("open", flush=True)  # noqa: T201
    await loop.run_in_executor(None, sys.stdin.read)
    delays.sort()
    seen = {
        "events": len(delays),
        "lost": sum(stream.lost for stream in streams),
        "doubled": sum(stream.doubled for stream in streams),
        "broken": sum(stream.broken for stream in streams),
        "p50": delays[len(delays) // 2] if delays else None,
        "p99": delays[len(delays) * 99 // 100] if delays else None,
        "longest": delays[-1] if delays else None,
        "last": {job: stream.last for (job, _), stream in zip(jobs, streams, strict=True)},
    }
    print(json.dumps(seen), flush=True)  # noqa: T201
    for stream in streams:
        stream.close()


if __name__ == "__main__":
    asked = [line.split() for line in iter(sys.stdin.readline, "\n")]
    asyncio.run(follow(int(sys.argv[1]), sys.argv[2], [(job, int(seq)) for job, seq in asked]))
