"""What every request gets: an id, protective headers, one log line and its place in the metrics."""

import re
import time
from contextvars import ContextVar

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.metrics import HttpMetrics
from core.ids import random_hex

request_id: ContextVar[str] = ContextVar("request_id", default="-")

log = structlog.get_logger(__name__)

_ACCEPTED = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_DEFAULTS = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
_QUIET = ("/healthz", "/readyz", "/metrics")


class RequestContext:
    """ASGI middleware. Honours a client's `X-Request-ID` if it is harmless in a log."""

    def __init__(self, app: ASGIApp, metrics: HttpMetrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        current = given.decode() if _ACCEPTED.fullmatch(given) else random_hex()
        request_id.set(current)
        structlog.contextvars.bind_contextvars(request_id=current)
        started, status = time.perf_counter(), 0
        answered = None

        async def send_with_headers(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = self.metrics.answered(scope, message, time.perf_counter() - started)
                headers = list(message["headers"])
                names = {name for name, _ in headers}
                headers += [(b"x-request-id", current.encode()), (b"x-content-type-options", b"nosniff")]
                headers += [default for default in _DEFAULTS if default[0] not in names]
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        finally:
            if answered is None:
                self.metrics.unanswered(scope)
            else:
                answered.ended()
            if scope["path"] not in _QUIET:
                log.info(
                    "request",
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    seconds=round(time.perf_counter() - started, 4),
                )
            structlog.contextvars.unbind_contextvars("request_id")
