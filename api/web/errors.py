"""Problems as pages, for browsers that asked for a page."""

import json
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.exc import SQLAlchemyError

from api.audience import wants_page
from api.security import Caller, bearer, identify
from api.web.rendering import render
from core.errors import CondenseryError

Handler = Callable[[Request, Any], Response | Awaitable[Response]]

#: What to do next, by code, where the status alone would mislead.
_NEXT_BY_CODE = {
    "cross_origin": "Open the service itself in this browser, by its own address, and do it there.",
    "body_too_slow": "Send it again over a faster connection.",
}
_LOCAL_ONLY = (
    "Open http://localhost:{port} on the machine that it runs on. Or make a key there, python -m core.admin "
    "keys create --owner NAME --scope admin, and then sign in with it from anywhere."
)
#: By status.
_NEXT = {
    400: "Go back, reload the page, and send it again.",
    403: "Sign in with a key that may do this, or ask whoever runs the service for one.",
    404: "It may have been deleted, or belong to somebody else. Look for it in these lists.",
    405: "This address is not for opening: begin with one of these lists.",
    408: "Send it again.",
    409: "Go back, reload the page, and look at its state again.",
    410: "It is gone for good: begin anew from one of these lists.",
    413: "Send less at once: a file goes to the page of the data sets, which has a limit of its own.",
    415: "Go back, reload the page, and send its own form.",
    416: "Ask for it from the start.",
    422: "Go back and mend what is named.",
    423: "Somebody else is sending it: wait until they have ended, and try again.",
    429: "Delete what is no longer needed, or wait until some jobs have ended.",
    460: "It was damaged on its way: send it again.",
    500: "Try again. If it stays so, tell whoever runs the service the request id.",
    503: "Reload this page in a moment.",
    507: "Delete data sets or jobs that are no longer needed, or ask whoever runs the service for more room.",
}


def install(app: FastAPI) -> None:
    """To be called once the handlers of all errors are there."""
    for kind, handler in list(app.exception_handlers.items()):
        app.add_exception_handler(kind, _paged(handler))


def _paged(handler: Handler) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(request: Request, error: Exception) -> Response:
        made = handler(request, error)
        answer = await made if isawaitable(made) else made
        return await _as_page(request, answer) if wants_page(request) else answer

    return handle


async def _as_page(request: Request, answer: Response) -> Response:
    status = answer.status_code
    if status == 401:
        here = request.url.path if request.method == "GET" else "/"
        query = f"?{request.url.query}" if request.method == "GET" and request.url.query else ""
        return RedirectResponse(f"/sign-in?next={quote(here + query, safe='')}", 303)
    problem = json.loads(bytes(answer.body))
    caller = await _caller_of(request, status)
    next_step = _next_step(status, problem["code"], request.app.state.settings.port)
    page = render(request, "error.html", caller, status=status, problem=problem, next_step=next_step)
    for name in ("retry-after", "allow", "connection"):
        if name in answer.headers:
            page.headers[name] = answer.headers[name]
    return page


def _next_step(status: int, code: str, port: int) -> str:
    if code == "local_only":
        return _LOCAL_ONLY.format(port=port)
    return _NEXT_BY_CODE.get(code) or _NEXT.get(status) or _NEXT[500 if status >= 500 else 400]


async def _caller_of(request: Request, status: int) -> Caller | None:
    """For the way to other pages. None if nobody is known, or if the service has trouble enough: to know
    may take the database."""
    if status >= 500:
        return None
    try:
        return await identify(request, await bearer(request))
    except (CondenseryError, SQLAlchemyError):
        return None
