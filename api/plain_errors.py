"""Errors that the libraries below us answer as plain text leave as problems, too."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import http_problem


class PlainErrors:
    """ASGI middleware around everything that Starlette puts around an application.

    Starlette itself answers a body over the limit (413) and a bad Range (400, 416) in plain text,
    past the exception handlers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        replaced: Message | None = None
        text = b""

        async def translate(message: Message) -> None:
            nonlocal replaced, text
            if message["type"] == "http.response.start" and _is_plain_error(message):
                replaced = message
            elif replaced is None:
                await send(message)
            else:
                text += message.get("body", b"")
                if not message.get("more_body"):
                    kept = {k: v for k, v in Headers(raw=replaced["headers"]).items() if k == "content-range"}
                    settings = scope["app"].state.settings
                    answer = http_problem(settings, replaced["status"], text.decode(), kept)
                    await answer(scope, receive, send)

        await self.app(scope, receive, translate)


def _is_plain_error(message: Message) -> bool:
    kind = Headers(raw=message["headers"]).get("content-type", "")
    return message["status"] >= 400 and kind.startswith("text/plain")
