"""An upload that is refused costs next to nothing: of its body at most 64 KiB are read."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
import uvicorn
from fastapi import FastAPI, HTTPException
from starlette.testclient import TestClient

from api.server.connections import HEAD_BYTES, Connection
from api.server.streaming import OWN_LIMIT
from core.db.session import Database
from core.settings import Settings
from tests.support.api import token_of
from tests.support.servers import free_port

LIMIT = 64 << 10
START = "Upload-Offset: 0"
PIECE = "Content-Type: application/offset+octet-stream"
TUS = "Tus-Resumable: 1.0.0"


class Counted(Connection):
    """As delivered; it counts what was read from the socket."""

    read = 0

    def data_received(self, data: bytes) -> None:
        Counted.read += len(data)
        super().data_received(data)


@dataclass
class Server:
    port: int
    tokens: dict[str, str]
    incomplete: str


@pytest.fixture
def server(app: FastAPI, http: TestClient, database: Database, settings: Settings) -> Iterator[Server]:
    """The application behind a real socket, in a thread of this process: so bytes can be counted.

    Nothing limits rates yet: the 429 is of a route of our own.
    """

    @app.put("/v1/too-many", max_body_size=OWN_LIMIT)
    async def too_many() -> None:
        raise HTTPException(429)

    tokens = {"write": token_of(database, "me", "write"), "read": token_of(database, "me", "read")}
    tus = {"Authorization": f"Bearer {tokens['write']}", "Tus-Resumable": "1.0.0", "Upload-Length": "1000000"}
    incomplete = http.post("/v1/uploads", headers=tus).headers["location"]
    port = free_port()
    running = uvicorn.Server(
        uvicorn.Config(
            app, port=port, http=Counted.of(settings), h11_max_incomplete_event_size=HEAD_BYTES,
            log_config=None, lifespan="off",
        )
    )  # fmt: skip
    listening = socket.create_server(("127.0.0.1", port))
    thread = threading.Thread(target=lambda: asyncio.run(running.serve([listening])))
    thread.start()
    yield Server(port, tokens, incomplete)
    running.should_exit = True
    thread.join()


REFUSED: dict[str, tuple[int, str, str, list[str]]] = {
    "PUT without a key": (401, "PUT /v1/uploads", "", []),
    "PUT with a key that is none": (401, "PUT /v1/uploads", "nonsense", []),
    "PUT with a key that may only read": (403, "PUT /v1/uploads", "read", []),
    "PUT with a misspelt parameter": (422, "PUT /v1/uploads?filename=x", "write", []),
    "PUT that is too large": (413, "PUT /v1/uploads", "write", []),
    "PUT when there were too many": (429, "PUT /v1/too-many", "write", []),
    "POST of tus without a key": (401, "POST /v1/uploads", "", [TUS, "Upload-Length: 9"]),
    "POST of tus with a key that may only read": (403, "POST /v1/uploads", "read", [TUS, "Upload-Length: 9"]),
    "POST of tus that is too large": (413, "POST /v1/uploads", "write", [TUS, f"Upload-Length: {1 << 40}"]),
    "POST of no tus": (412, "POST /v1/uploads", "write", []),
    "PATCH without a key": (401, "PATCH {incomplete}", "", [TUS, PIECE, START]),
    "PATCH with a key that may only read": (403, "PATCH {incomplete}", "read", [TUS, PIECE, START]),
    "PATCH of nothing": (404, "PATCH /v1/uploads/up_0", "write", [TUS, PIECE, START]),
    "PATCH at another offset": (409, "PATCH {incomplete}", "write", [TUS, PIECE, "Upload-Offset: 5"]),
    "PATCH of another type": (415, "PATCH {incomplete}", "write", [TUS, "Upload-Offset: 0"]),
    "PATCH that is too large": (413, "PATCH {incomplete}", "write", [TUS, PIECE, START]),
}  # fmt: skip


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_refused_upload_is_not_read(server: Server, framing: str) -> None:
    """By a client that sends on and on, whatever it is answered."""
    block = b"x" * (1 << 16)
    body = block if framing == "length" else b"10000\r\n" + block + b"\r\n"
    for name, (status, what, key, headers) in REFUSED.items():
        if framing == "chunked" and name.endswith("too large") and "POST" not in name:
            continue  # nothing says so before the limit was passed
        request = [f"{what.format(incomplete=server.incomplete)} HTTP/1.1", "Host: localhost", *headers]
        if key:
            request.append(f"Authorization: Bearer {server.tokens.get(key, key)}")
        length = f"Content-Length: {10**9 if name.endswith('too large') else 10**6}"
        request.append(length if framing == "length" else "Transfer-Encoding: chunked")
        Counted.read = 0
        answer = send_on(server.port, "\r\n".join([*request, "", ""]).encode(), body)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode()), (name, answer[:300])
        assert Counted.read <= LIMIT, (name, Counted.read)


def send_on(port: int, head: bytes, block: bytes) -> bytes:
    answer = b""
    with socket.create_connection(("127.0.0.1", port)) as one:
        one.sendall(head)
        one.setblocking(False)
        started = time.monotonic()
        while time.monotonic() < started + 10:
            with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                one.send(block)
            try:
                received = one.recv(65536)
            except BlockingIOError:
                time.sleep(0.01)
                continue
            except ConnectionResetError:
                break
            if not received:
                break
            answer += received
        else:
            pytest.fail("the connection stayed open")
    return answer


def test_small_body_that_nobody_asked_for_keeps_the_connection(server: Server) -> None:
    def ask(one: socket.socket, body: bytes) -> bytes:
        one.sendall(b"PUT /v1/uploads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += one.recv(65536)
        one.sendall(body)
        return answer

    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as one:
        for _ in range(3):
            assert ask(one, b"123456789").startswith(b"HTTP/1.1 401 ")
