"""What an answer says, and whether the same request may be answered otherwise later."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from condensery.client.errors import ApiError, ConnectionFailed, UnexpectedAnswer

#: A server that wants to be left alone for longer than this raises an error.
LONGEST_RETRY_AFTER = 120.0
#: Nothing of such a request has reached the server.
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
#: Of proxies, while the server behind them starts, and of a server that is busy or about to stop.
_PASSING = (502, 503, 504)


def unreachable(address: str, error: httpx2.TransportError) -> ConnectionFailed:
    """What a connection that failed is raised as."""
    failed = ConnectionFailed(address, str(error) or type(error).__name__)
    failed.retry_after = 0.0
    failed.may_have_arrived = not isinstance(error, _NOT_SENT)
    return failed


def body_of(answer: httpx2.Response) -> dict[str, Any]:
    """The JSON object of an answer. Raises UnexpectedAnswer."""
    body = _json(answer)
    if not isinstance(body, dict):
        raise _unexpected(answer)
    return body


def refusal(answer: httpx2.Response) -> ApiError | UnexpectedAnswer:
    """What an answer that is no success is raised as. Its body must have been read."""
    problem = _json(answer)
    known = isinstance(problem, Mapping) and "code" in problem
    refused = ApiError(problem) if known else _unexpected(answer)
    refused.retry_after = _retry_after(answer, refused)
    return refused


def _json(answer: httpx2.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


def _retry_after(answer: httpx2.Response, refused: ApiError | UnexpectedAnswer) -> float | None:
    """A 429 without Retry-After is a quota, which waiting does not lift."""
    code = refused.code if isinstance(refused, ApiError) else None
    asked = _seconds(answer.headers.get("retry-after"))
    passing = answer.status_code in (423, *_PASSING) or code == "idempotency_key_in_flight"
    if asked is not None and answer.status_code in (429, *_PASSING):
        return asked if asked <= LONGEST_RETRY_AFTER else None
    return 0.0 if passing else None


def _seconds(header: str | None) -> float | None:
    """Of `Retry-After`, which is a number or a date."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (at.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def _unexpected(answer: httpx2.Response) -> UnexpectedAnswer:
    request = answer.request
    text = " ".join(answer.text.split())[:120]
    to = f", which leads to {answer.headers['location']}" if "location" in answer.headers else ""
    return UnexpectedAnswer(
        f"{request.method} {request.url}: the answer is no condensery server's: {answer.status_code} "
        f"{answer.headers.get('content-type', 'of no type')}{to}{f': {text}' if text else ''}",
        answer.status_code,
    )
