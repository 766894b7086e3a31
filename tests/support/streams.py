"""A client of an event stream that speaks ASGI: it reads when it is told to, and hangs up when it likes."""

import asyncio
import json
from types import TracebackType
from typing import Any, Self

from fastapi import FastAPI
from starlette.types import Message


class StreamClient:
    """`GET {path}/events/stream`, as from this machine."""

    def __init__(self, app: FastAPI, path: str, last_event_id: int = 0, *, token: str | None = None) -> None:
        headers = [(b"host", b"localhost"), (b"last-event-id", str(last_event_id).encode())]
        if token:
            headers.append((b"authorization", f"Bearer {token}".encode()))
        self._app = app
        self._scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
            "headers": headers,
            "path": f"{path}/events/stream", "raw_path": b"", "query_string": b"", "scheme": "http",
            "client": ("127.0.0.1", 50_000), "server": ("localhost", 80),
        }  # fmt: skip
        self._sent: asyncio.Queue[Message] = asyncio.Queue(1)
        self._hung_up = asyncio.Event()
        self._asked = False
        self._text = ""
        self.status = 0
        self.comments = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._app(self._scope, self._receive, self._sent.put))
        self.status = (await self._sent.get())["status"]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up, and wait until the server has noticed."""
        self._hung_up.set()
        while not self._task.done():
            taken = asyncio.create_task(self._sent.get())
            await asyncio.wait({taken, self._task}, return_when=asyncio.FIRST_COMPLETED)
            taken.cancel()
        self._task.result()

    async def next(self) -> dict[str, str] | None:
        """The next message; None at the end of the stream. Keep-alive comments are passed over."""
        while True:
            block, found, rest = self._text.partition("\n\n")
            if found:
                self._text = rest
                if not block.startswith(":"):
                    return dict(line.split(": ", 1) for line in block.splitlines())
                self.comments += 1
                continue
            part = await asyncio.wait_for(self._sent.get(), 20)
            if not part.get("more_body"):
                return None
            self._text += part["body"].decode()

    async def body(self) -> Any:
        """The answer as JSON, if it is no stream."""
        return json.loads((await self._sent.get())["body"])

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._hung_up.wait()
        return {"type": "http.disconnect"}
