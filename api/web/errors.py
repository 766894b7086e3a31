"""Problems as pages, for browsers that asked for a page."""

import json
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response

from api.web.rendering import render

Handler = Callable[[Request, Any], Response | Awaitable[Response]]

#: What to do next, by status.
_NEXT = {
    403: "Sign in with a key that may do this, or ask whoever runs the service for one.",
    404: "It may have been deleted, or belong to somebody else. Look for it in these lists.",
    409: "Go back, reload the page, and look at its state again.",
    422: "Go back and mend what is named.",
    429: "Delete what is no longer needed, or wait until some jobs have ended.",
    500: "Try again. If it stays so, tell whoever runs the service the request id.",
    503: "Reload this page in a moment.",
}


def install(app: FastAPI) -> None:
    """To be called once the handlers of all errors are there."""
    for kind, handler in list(app.exception_handlers.items()):
        app.add_exception_handler(kind, _paged(handler))


def wants_page(request: Request) -> bool:
    """Whether the answer is for a person: the JSON API answers everybody alike."""
    path = request.url.path
    accepts = request.headers.get("accept", "")
    return "text/html" in accepts and not path.startswith("/v1/") and path != "/openapi.json"


def _paged(handler: Handler) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(request: Request, error: Exception) -> Response:
        made = handler(request, error)
        answer = await made if isawaitable(made) else made
        return _as_page(request, answer) if wants_page(request) else answer

    return handle


def _as_page(request: Request, answer: Response) -> Response:
    status = answer.status_code
    if status == 401:
        here = request.url.path if request.method == "GET" else "/"
        query = f"?{request.url.query}" if request.method == "GET" and request.url.query else ""
        return RedirectResponse(f"/sign-in?next={quote(here + query, safe='')}", 303)
    problem = json.loads(bytes(answer.body))
    page = render(request, "error.html", None, status=status, problem=problem, next_step=_NEXT.get(status))
    for name in ("retry-after", "allow", "connection"):
        if name in answer.headers:
            page.headers[name] = answer.headers[name]
    return page
