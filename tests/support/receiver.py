"""Somebody who receives webhooks: a real HTTP server on 127.0.0.1."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook as Verifier

from tests.support.processes import wait_for


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def payload(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    def verified(self, secret: str) -> Any:
        """The payload. Raises WebhookVerificationError unless `secret` signed it."""
        return Verifier(secret).verify(self.body, self.headers)


#: Status and headers; a body follows only if `Content-Length` says so.
Answer = tuple[int, Mapping[str, str]]
FINE: Answer = (204, {})


@dataclass
class Receiver:
    """`answers` says what the nth request (from 0) gets; `close` cuts the connection without an answer."""

    port: int
    answers: Callable[[int, Received], Answer] = lambda n, received: FINE
    received: list[Received] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?x=1"

    def wait_for(self, count: int) -> list[Received]:
        wait_for(lambda: len(self.received) >= count, seconds=120)
        return self.received[:]


@contextmanager
def receiver(
    answers: Callable[[int, Received], Answer] | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            received = Received(self.path, headers, body)
            with made.lock:
                number = len(made.received)
                made.received.append(received)
            status, sent = made.answers(number, received)
            self.send_response(status)
            for name, value in sent.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_arguments: object) -> None:
            pass  # a sender that hangs up

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    made = Receiver(server.server_port)
    if answers is not None:
        made.answers = answers
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
