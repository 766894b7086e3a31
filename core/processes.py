"""Processes that must not outlive the one that started them, and that stop when they are told to."""

import ctypes
import os
import queue
import signal
import sys
from contextlib import suppress

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies. Linux only; elsewhere nothing happens.

    Args:
        parent: the parent's process id; if it is gone already, this process exits.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the process that started this one is gone")


class StopAsked:
    """What the handler of a signal sets and the main thread waits for.

    Not a `threading.Event`: a handler that interrupts `wait` while that holds the event's lock would wait for
    the lock, and so for itself, for ever. Of a `SimpleQueue` the documentation says that `put` may do so.
    """

    def __init__(self) -> None:
        self._asked = False
        self._woken = queue.SimpleQueue[None]()

    def set(self) -> None:
        self._asked = True
        self._woken.put(None)

    def wait(self, seconds: float) -> bool:
        """Until it is set, or for so long, as it may be if it is set just when this begins.

        Returns whether it is set.
        """
        if not self._asked:
            with suppress(queue.Empty):
                self._woken.get(timeout=seconds)
        return self._asked
