"""One request and its answer: tried again where that may help and does no harm."""

import logging
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx2

from condensery.client import bodies
from condensery.client.answers import body_of, refusal, unreachable
from condensery.client.errors import ApiError, CondenseryError, ConnectionFailed, UnexpectedAnswer
from condensery.client.waiting import async_sleep

_log = logging.getLogger("condensery")

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 8.0


class AsyncTries:
    """The failures in a row that an operation bears, with growing pauses between them.

    `answer_lost`: one of the requests that failed may have arrived.
    """

    def __init__(self, retries: int) -> None:
        self._retries = retries
        self._failed = 0
        self.answer_lost = False

    def progressed(self) -> None:
        """What came counts: bear as many failures as at the start."""
        self._failed = 0

    async def again(self, error: CondenseryError, wait: float | None = None) -> None:
        """Wait before the next try. Raises `error`: there were enough, or another would have the same end.

        It is logged, from the second failure in a row on as a warning, which Python shows on standard error
        where a program has not set up its logging.

        Args:
            wait: seconds, at least; instead of what the error says.
        """
        at_least = error.retry_after if wait is None else wait
        if at_least is None or self._failed >= self._retries:
            raise error
        self.answer_lost |= isinstance(error, ConnectionFailed) and error.may_have_arrived
        # Clients that were cut off together must not come back together.
        pause = min(FIRST_PAUSE * 2**self._failed, LONGEST_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311
        seconds = max(at_least, pause)
        level = logging.WARNING if self._failed else logging.INFO
        _log.log(level, "%s; trying again in %.0f s", error, seconds)
        self._failed += 1
        await async_sleep(seconds)


class AsyncRequests:
    """What everything is sent through.

    Args:
        http: its base URL is the server's.
        address: of the server, to be named in errors.
        retries: failures in a row that are borne.
    """

    def __init__(self, http: httpx2.AsyncClient, address: str, retries: int) -> None:
        self._http = http
        self.address = address
        self._retries = retries

    def with_retries(self, retries: int) -> "AsyncRequests":
        """The same connection, for who is less patient."""
        return AsyncRequests(self._http, self.address, retries)

    def tries(self) -> AsyncTries:
        return AsyncTries(self._retries)

    async def send(
        self, method: str, path: str, *, timeout: httpx2.Timeout | None = None, **request: Any
    ) -> httpx2.Response:
        """One try: its answer, which is a success.

        Args:
            request: httpx2's params, headers, json or content.

        Raises:
            ApiError, UnexpectedAnswer, ConnectionFailed
        """
        try:
            answer = await self._http.request(method, path, timeout=timeout or bodies.timeout(), **request)
        except httpx2.TransportError as error:
            raise unreachable(self.address, error) from error
        if not answer.is_success:
            raise refusal(answer)
        return answer

    @asynccontextmanager
    async def stream(self, path: str, headers: Mapping[str, str]) -> AsyncIterator[httpx2.Response]:
        """One try of a GET whose answer, which is a success, is read by the caller. A connection that breaks
        within is ConnectionFailed there.

        Raises:
            ApiError, UnexpectedAnswer, ConnectionFailed
        """
        try:
            async with self._http.stream("GET", path, headers=headers) as answer:
                if not answer.is_success:
                    await answer.aread()
                    raise refusal(answer)
                yield answer
        except httpx2.SSEError as error:
            raise UnexpectedAnswer(f"{self.address}{path}: {error}") from error
        except httpx2.TransportError as error:
            raise unreachable(self.address, error) from error

    async def answer(
        self, method: str, path: str, *, repeatable: bool, tries: AsyncTries | None = None, **request: Any
    ) -> httpx2.Response:
        """The answer, over as many tries as it takes.

        Args:
            repeatable: twice does no more than once, so that it may be sent again when the answer was lost.

        Raises:
            ApiError, UnexpectedAnswer, ConnectionFailed
        """
        tries = tries or self.tries()
        while True:
            try:
                return await self.send(method, path, **request)
            except CondenseryError as error:
                if isinstance(error, ConnectionFailed) and error.may_have_arrived and not repeatable:
                    raise
                await tries.again(error)

    async def get(self, path: str, **params: str | int | None) -> dict[str, Any]:
        """A resource."""
        given = {name: value for name, value in params.items() if value is not None}
        return body_of(await self.answer("GET", path, params=given, repeatable=True))

    async def post(self, path: str, body: Any = None, *, repeatable: bool = False) -> dict[str, Any]:
        """Make something, or ask for it. One Idempotency-Key for the call, whatever number of tries it takes.

        Args:
            repeatable: the server heeds that key here, or does nothing the second time.
        """
        headers = idempotency()
        return body_of(await self.answer("POST", path, json=body, headers=headers, repeatable=repeatable))

    async def delete(self, path: str) -> None:
        """Delete a resource; one that a try whose answer was lost has deleted is deleted, too."""
        tries = self.tries()
        try:
            await self.answer("DELETE", path, repeatable=True, tries=tries)
        except ApiError as error:
            if not (tries.answer_lost and error.status == 404):
                raise

    async def pages(self, path: str, **params: str | int | None) -> AsyncIterator[dict[str, Any]]:
        """The rows of a list, page by page as they are asked for."""
        after: str | None = None
        while True:
            page = await self.get(path, **params, after=after)
            for row in page["data"]:
                yield row
            if not page["has_more"]:
                return
            after = page["next"]


def idempotency() -> dict[str, str]:
    """The header of all tries of one call, by which the server knows them as one."""
    return {"Idempotency-Key": uuid4().hex}
