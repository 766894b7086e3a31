"""How slow a body may be, and that nobody may doubt where it ends."""

import asyncio

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import problem
from core.settings import Settings


class BodyTooSlow(HTTPException):
    """What had come before may be kept."""


class SlowBodies:
    """ASGI middleware: a body must keep coming, and on the whole at some rate.

    Only the time in which the application waits counts: what it does itself is not the client's fault.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if "content-length" in headers and "transfer-encoding" in headers:
            # A proxy before us may have believed the other one (request smuggling, RFC 9112 section 6.3).
            answer = problem(
                400,
                "malformed",
                "a request has Content-Length or Transfer-Encoding, not both",
                headers={"Connection": "close"},
            )
            await answer(scope, receive, send)
            return
        loop, idle, rate = (
            asyncio.get_running_loop(),
            self.settings.idle_seconds,
            self.settings.min_bytes_per_second,
        )
        waited, received, complete = 0.0, 0, False

        async def receive_in_time() -> Message:
            nonlocal waited, received, complete
            if complete:
                return await receive()  # it waits for the client to go away, as long as an answer takes
            before = loop.time()
            try:
                async with asyncio.timeout(idle):
                    message = await receive()
            except TimeoutError as error:
                raise BodyTooSlow(
                    408, f"no data of the body came for {idle:g} s after its first {received} bytes"
                ) from error
            waited += loop.time() - before
            received += len(message.get("body", b""))
            complete = message["type"] != "http.request" or not message.get("more_body", False)
            if not complete and waited > idle and received < waited * rate:
                raise BodyTooSlow(
                    408,
                    f"the body is too slow: {received} bytes in {waited:.0f} s; the least is {rate} a second",
                )
            return message

        await self.app(scope, receive_in_time, send)
