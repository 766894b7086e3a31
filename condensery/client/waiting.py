"""How each of the two clients waits: the only code that is written for both. What the asynchronous one calls
`async_NAME`, the generated one calls NAME."""

import asyncio
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def async_sleep(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def async_call(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """In a thread: a disk may take its time, and the event loop has others to serve."""
    return await asyncio.to_thread(function, *args, **kwargs)


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def call(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return function(*args, **kwargs)
