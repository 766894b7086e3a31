"""Operations done: by a client that waits, and by asyncio. The only two places that touch the network."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, aclosing, closing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import httpx2

from condensery.client.effects import (
    CONNECT_SECONDS,
    READ_SECONDS,
    Effect,
    Emit,
    Next,
    Open,
    Operation,
    Send,
    Sleep,
)

T = TypeVar("T")


@dataclass(frozen=True)
class _Done(Generic[T]):
    value: T


@dataclass
class _Running(Generic[T]):
    """An operation, and what became of its last effect."""

    operation: Operation[T]
    result: Any = None
    error: httpx2.TransportError | None = None

    def advance(self) -> Effect | _Done[T]:
        result, error = self.result, self.error
        self.result = self.error = None
        try:
            return self.operation.send(result) if error is None else self.operation.throw(error)
        except StopIteration as end:
            return _Done(end.value)


class Driver:
    """Does operations on this thread."""

    def __init__(self, http: httpx2.Client) -> None:
        self._http = http

    def run(self, operation: Operation[T]) -> T:
        """The operation's result."""
        for found in self._drive(operation):
            if isinstance(found, _Done):
                return found.value  # type: ignore[no-any-return]
        raise AssertionError("an operation ends with its result")

    def each(self, operation: Operation[Any]) -> Iterator[Any]:
        """What the operation emits, as it does."""
        with closing(self._drive(operation)) as found:
            yield from (one for one in found if not isinstance(one, _Done))

    def _drive(self, operation: Operation[T]) -> Any:
        with closing(operation), ExitStack() as opened:
            running, parts = _Running(operation), iter(())
            while True:
                effect = running.advance()
                try:
                    match effect:
                        case _Done():
                            yield effect
                            return
                        case Emit(item):
                            yield item
                        case Sleep(seconds):
                            time.sleep(seconds)
                        case Next():
                            running.result = next(parts, None)
                        case Open():
                            opened.close()
                            running.result = opened.enter_context(self._http.stream("GET", **_asked(effect)))
                            parts = self._parts(running.result, effect)
                        case Send():
                            running.result = self._http.request(content=_body(effect), **_sent(effect))
                except httpx2.TransportError as error:
                    running.error = error

    @staticmethod
    def _parts(answer: httpx2.Response, effect: Open) -> Iterator[Any]:
        if not answer.is_success:
            answer.read()
            return iter(())
        if effect.events:
            return iter(httpx2.EventSource(answer, max_event_size=None))
        return answer.iter_bytes()


class AsyncDriver:
    """Does operations on an event loop."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def run(self, operation: Operation[T]) -> T:
        """The operation's result."""
        async with aclosing(self._drive(operation)) as found:
            async for one in found:
                if isinstance(one, _Done):
                    return one.value  # type: ignore[no-any-return]
        raise AssertionError("an operation ends with its result")

    async def each(self, operation: Operation[Any]) -> AsyncIterator[Any]:
        """What the operation emits, as it does."""
        async with aclosing(self._drive(operation)) as found:
            async for one in found:
                if not isinstance(one, _Done):
                    yield one

    async def _drive(self, operation: Operation[T]) -> Any:
        with closing(operation):
            async with AsyncExitStack() as opened:
                running, parts = _Running(operation), _nothing()
                while True:
                    effect = running.advance()
                    try:
                        match effect:
                            case _Done():
                                yield effect
                                return
                            case Emit(item):
                                yield item
                            case Sleep(seconds):
                                await asyncio.sleep(seconds)
                            case Next():
                                running.result = await anext(parts, None)
                            case Open():
                                await opened.aclose()
                                running.result = await opened.enter_async_context(
                                    self._http.stream("GET", **_asked(effect))
                                )
                                parts = await self._parts(running.result, effect)
                            case Send():
                                body = None if effect.body is None else _async_body(effect)
                                running.result = await self._http.request(content=body, **_sent(effect))
                    except httpx2.TransportError as error:
                        running.error = error

    @staticmethod
    async def _parts(answer: httpx2.Response, effect: Open) -> AsyncIterator[Any]:
        if not answer.is_success:
            await answer.aread()
            return _nothing()
        if effect.events:
            return aiter(httpx2.EventSource(answer, max_event_size=None))
        return answer.aiter_bytes()


def _asked(effect: Open) -> dict[str, Any]:
    return {"url": effect.path, "headers": effect.headers}


def _sent(effect: Send) -> dict[str, Any]:
    return {
        "method": effect.method,
        "url": effect.path,
        "params": effect.params,
        "headers": effect.headers,
        "json": effect.json,
        "timeout": httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS, read=effect.read_seconds),
    }


def _body(effect: Send) -> Iterator[bytes] | None:
    if effect.body is None:
        return None
    return _telling(effect.body, effect.told)


def _telling(body: Iterator[bytes], told: Callable[[int], None] | None) -> Iterator[bytes]:
    for piece in body:
        yield piece
        if told is not None:
            told(len(piece))


async def _async_body(effect: Send) -> AsyncIterator[bytes]:
    assert effect.body is not None
    # In a thread: a disk may take its time, and the loop has others to serve.
    while (piece := await asyncio.to_thread(next, effect.body, None)) is not None:
        yield piece
        if effect.told is not None:
            effect.told(len(piece))


async def _nothing() -> AsyncIterator[Any]:
    return
    yield
