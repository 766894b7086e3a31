"""Processes that must not outlive the one that started them, and that stop when they are asked to."""

import ctypes
import os
import queue
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 1, 15, 36


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies. Linux only; elsewhere nothing happens.

    Args:
        parent: the parent's process id; if it is gone already, this process exits.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)  # in silence: nobody waits for an answer, and a log is JSON, line by line


def name_process(name: str) -> None:
    """What `top` and `ps -o comm` show of this process; its first 15 characters. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def show_command(command: Sequence[str]) -> None:
    """Have `ps` show this command line, as far as there is room in the one this process began with. Linux
    only, where whoever looks for the process of a row finds it by that."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # proc(5): arg_start and arg_end
    shown = b"".join(os.fsencode(part) + b"\0" for part in command)[: end - start - 1]
    ctypes.memmove(start, shown.ljust(end - start, b"\0"), end - start)


def kill_orphans() -> None:
    """Kill what processes that have ended have left to this one, which asked for it (`take_orphans`)."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while children.exists() and (left := children.read_text().split()):
        for pid in map(int, left):
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def take_orphans() -> None:
    """Have what processes below this one leave behind fall to this one when they end. Linux only.

    Raises OSError: the kernel refuses.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def can_fork() -> bool:
    """Whether `Forked` works here. Elsewhere than on Linux a process can only be waited for by its number,
    which may be another's by then."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open")


class Forked:
    """A child of this process that `subprocess` has not started, with what is used here of its `Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._descriptor = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._descriptor], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self._descriptor)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            signal.pidfd_send_signal(self._descriptor, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


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
