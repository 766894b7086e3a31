"""One request and its answer: tried again where that may help and does no harm."""

import logging
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import uuid4

import httpx2

from condensery.client.effects import Emit, Operation, Send, Sleep
from condensery.client.errors import ApiError, CondenseryError, ConnectionFailed, UnexpectedAnswer

_log = logging.getLogger("condensery")

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 8.0
#: A server that wants to be left alone for longer than this is told so as an error.
LONGEST_RETRY_AFTER = 120.0
#: Nothing of such a request has reached the server.
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
#: Of proxies, while the server behind them starts, and of a server that is busy or about to stop.
_PASSING = (502, 503, 504)


class Tries:
    """The failures in a row that an operation bears, with growing pauses between them."""

    def __init__(self, retries: int) -> None:
        self._retries = retries
        self._failed = 0

    def progressed(self) -> None:
        """What came counts: bear as many failures as at the start."""
        self._failed = 0

    def again(self, error: CondenseryError, at_least: float = 0.0) -> Operation[None]:
        """Wait before the next try. Raises `error`: there were enough.

        It is logged, from the second failure in a row on as a warning, which Python shows on standard error
        where a program has not set up its logging.
        """
        if self._failed >= self._retries:
            raise error
        # Clients that were cut off together must not come back together.
        pause = min(FIRST_PAUSE * 2**self._failed, LONGEST_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311
        seconds = max(at_least, pause)
        level = logging.WARNING if self._failed else logging.INFO
        _log.log(level, "%s; trying again in %.0f s", error, seconds)
        self._failed += 1
        yield Sleep(seconds)


class Requests:
    """What every operation sends its requests through.

    Args:
        address: of the server, to be named in errors.
        retries: failures in a row that are borne.
    """

    def __init__(self, address: str, retries: int) -> None:
        self.address = address
        self._retries = retries

    def tries(self) -> Tries:
        return Tries(self._retries)

    def unreachable(self, error: httpx2.TransportError) -> ConnectionFailed:
        return ConnectionFailed(self.address, str(error) or type(error).__name__)

    def answer(self, request: Send, *, repeatable: bool) -> Operation[httpx2.Response]:
        """The answer, which is a success.

        Args:
            repeatable: twice does no more than once, so that it may be sent again when the answer was lost.

        Raises:
            ApiError, UnexpectedAnswer, ConnectionFailed
        """
        tries, lost = self.tries(), False
        while True:
            try:
                answer: httpx2.Response = yield request
            except httpx2.TransportError as error:
                if not (repeatable or isinstance(error, _NOT_SENT)):
                    raise self.unreachable(error) from error
                lost = lost or not isinstance(error, _NOT_SENT)
                yield from tries.again(self.unreachable(error))
                continue
            if answer.is_success or (lost and request.method == "DELETE" and answer.status_code == 404):
                return answer
            refused = refusal(answer)
            wait = retry_after(answer, refused)
            if wait is None:
                raise refused
            yield from tries.again(refused, wait)

    def get(self, path: str, **params: str | int | None) -> Operation[dict[str, Any]]:
        """A resource."""
        given = {name: value for name, value in params.items() if value is not None}
        answer = yield from self.answer(Send(method="GET", path=path, params=given), repeatable=True)
        return body_of(answer)

    def post(self, path: str, body: Any = None, *, repeatable: bool = False) -> Operation[dict[str, Any]]:
        """Make something, or ask for it. One Idempotency-Key for the call, whatever number of tries it takes.

        Args:
            repeatable: the server heeds that key here, or does nothing the second time.
        """
        request = Send(method="POST", path=path, json=body, headers=idempotency())
        answer = yield from self.answer(request, repeatable=repeatable)
        return body_of(answer)

    def delete(self, path: str) -> Operation[None]:
        """Delete a resource; one that a try whose answer was lost has deleted is deleted, too."""
        yield from self.answer(Send(method="DELETE", path=path), repeatable=True)

    def pages(self, path: str, **params: str | int | None) -> Operation[None]:
        """Emits the rows of a list, page by page as they are asked for."""
        after: str | None = None
        while True:
            page = yield from self.get(path, **params, after=after)
            for row in page["data"]:
                yield Emit(row)
            if not page["has_more"]:
                return
            after = page["next"]


def idempotency() -> dict[str, str]:
    """The header of all tries of one call, by which the server knows them as one."""
    return {"Idempotency-Key": uuid4().hex}


def body_of(answer: httpx2.Response) -> dict[str, Any]:
    """The JSON object of an answer. Raises UnexpectedAnswer."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise _unexpected(answer)
    return body


def refusal(answer: httpx2.Response) -> ApiError | UnexpectedAnswer:
    """What an answer that is no success says."""
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    if not isinstance(problem, Mapping) or "code" not in problem:
        return _unexpected(answer)
    return ApiError(problem)


def retry_after(answer: httpx2.Response, refused: CondenseryError) -> float | None:
    """Seconds after which the same request may be answered otherwise; None: not by waiting alone.

    A 429 without Retry-After is a quota, which waiting does not lift.
    """
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
    said = " ".join(answer.text.split())[:120]
    to = f", which leads to {answer.headers['location']}" if "location" in answer.headers else ""
    return UnexpectedAnswer(
        f"{request.method} {request.url}: the answer is no condensery server's: {answer.status_code} "
        f"{answer.headers.get('content-type', 'of no type')}{to}{f': {said}' if said else ''}",
        answer.status_code,
    )
