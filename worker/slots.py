"""Slots: how many rows of a queue one worker works on at a time, whoever was woken and how.

A slot is a lock on one byte of a file that has no name and that all processes of the worker inherit. The
kernel gives it back when its holder dies, however it dies.
"""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from core.settings import Settings
from core.vocabulary import QUEUES

_MOST = 1024  # slots of a queue
_TRIES, _PAUSE_SECONDS = 20, 0.05

_file = -1


def slots_of(queue: str, settings: Settings) -> int:
    return {"cpu": settings.cpu_slots, "gpu": settings.gpu_slots}[queue]


def make() -> int:
    """The descriptor to be inherited by every process of a worker."""
    with tempfile.TemporaryFile() as file:
        descriptor = os.dup(file.fileno())
    os.set_inheritable(descriptor, True)
    use(descriptor)
    return descriptor


def use(descriptor: int) -> None:
    """To be called once in a process that inherited it."""
    global _file
    _file = descriptor


@contextmanager
def slot(queue: str, settings: Settings, *, tries: int = _TRIES) -> Iterator[bool]:
    """Hold one of a queue's slots. Yields False if all are taken.

    A second is waited for one: somebody may only have looked whether it is free.
    """
    first = QUEUES.index(queue) * _MOST
    taken = None
    for attempt in range(tries):
        if attempt:
            time.sleep(_PAUSE_SECONDS)
        taken = next((n for n in range(first, first + slots_of(queue, settings)) if _lock(n)), None)
        if taken is not None:
            break
    try:
        yield taken is not None
    finally:
        if taken is not None:
            fcntl.lockf(_file, fcntl.LOCK_UN, 1, taken)


def _lock(byte: int) -> bool:
    try:
        fcntl.lockf(_file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
    except (BlockingIOError, PermissionError):  # POSIX allows either
        return False
    return True
