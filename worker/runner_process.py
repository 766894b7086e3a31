"""The process of an attempt: forked from one that has everything loaded (worker/forkserver.py), else anew."""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import structlog

from core.processes import Forked, can_fork, take_orphans
from worker.runner_environment import RUNNER_ENVIRONMENT

log = structlog.get_logger(__name__)

#: Of a command line, for the longer one of a runner.
_ROOM = " " * 80

#: The fork servers of this process that nobody waits for, by kind: several only where attempts overlap.
_idle: dict[str, list["ForkServer"]] = {kind: [] for kind in ("tensors", "dataset", "condensed-set")}
#: Which kind of server forks an attempt at a row.
_KIND = {"job": "tensors", "trial": "tensors", "dataset": "dataset", "condensed-set": "condensed-set"}


def preload(kind: str) -> None:
    """Begin to load what a server of this kind needs, beside this process.

    To be called from the main thread: what a thread has started dies with it.
    """
    if can_fork():
        _idle[kind].append(ForkServer(kind))


@atexit.register
def _end_idle() -> None:
    for servers in _idle.values():
        for server in servers:
            server.close()


def _environment() -> dict[str, str]:
    return {**os.environ, **RUNNER_ENVIRONMENT}


class ForkServer:
    """`python -m worker.forkserver`, a child of this process."""

    def __init__(self, kind: str) -> None:
        take_orphans()  # what the server forks becomes this process's child
        self._connection, theirs = socket.socketpair()
        command = [sys.executable, "-m", "worker.forkserver", str(theirs.fileno()), str(os.getpid())]
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 (our own module)
                [*command, kind, _ROOM],
                env=_environment(),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._answer = b""

    def ask(self, arguments: list[str]) -> None:
        """For a runner with these arguments. Raises OSError: the server is gone."""
        request = {"arguments": arguments, "environment": _environment(), "directory": str(Path.cwd())}
        self._connection.sendall(json.dumps(request).encode() + b"\n")

    def answer(self, seconds: float) -> int | None:
        """The id of the runner's process; None if it takes longer. Raises OSError: the server is gone."""
        deadline = time.monotonic() + seconds
        while not self._answer.endswith(b"\n"):
            if not select.select([self._connection], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return None
            received = self._connection.recv(32)
            if not received:
                raise ConnectionResetError(f"the fork server ended with status {self.kill()}")
            self._answer += received
        pid, self._answer = int(self._answer), b""
        return pid

    def kill(self) -> int:
        """Returns its exit status. What it had answered before can still be read."""
        self._process.kill()
        return self._process.wait()

    def close(self) -> None:
        self.kill()
        self._connection.close()


class RunnerProcess:
    """An attempt's process, from the moment it is asked for: while what it needs is loaded, it has no id."""

    def __init__(self, noun: str, row_id: str, fence: int) -> None:
        self._kind = _KIND[noun]
        self._arguments = [noun, row_id, str(fence), str(os.getpid())]
        self._process: Forked | subprocess.Popen[bytes] | None = None
        self._server: ForkServer | None = None
        self._never_began: int | None = None
        if not can_fork():
            self._start_anew()
            return
        try:
            idle = _idle[self._kind]
            self._server = idle.pop() if idle else ForkServer(self._kind)
            self._server.ask(self._arguments)
        except OSError as error:
            self._do_without(error)

    def wait(self, seconds: float) -> int | None:
        """Its exit status, negative for a signal; None if it still runs after so many seconds."""
        deadline = time.monotonic() + seconds
        if self._process is None and self._never_began is None:
            self._begin(seconds)
        if self._process is None:
            return self._never_began
        try:
            return self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        """One that has not begun yet never will."""
        if self._process is None and self._server is not None and self._never_began is None:
            self._server.kill()
            try:
                self._process = Forked(self._server.answer(0) or 0)
            except OSError:
                self._never_began = -number
            self._server.close()
        if self._process is not None:
            self._process.send_signal(number)

    def end(self) -> int:
        """Kill it if it still runs. Returns its exit status."""
        if (status := self.wait(0)) is not None:
            return status
        self.send_signal(signal.SIGKILL)
        if self._process is not None:
            return self._process.wait()
        assert self._never_began is not None
        return self._never_began

    def _begin(self, seconds: float) -> None:
        assert self._server is not None
        try:
            pid = self._server.answer(seconds)
        except OSError as error:
            self._do_without(error)
            return
        if pid is not None:
            _idle[self._kind].append(self._server)
            self._process = Forked(pid)
            log.info("attempt started", pid=pid)

    def _do_without(self, error: OSError) -> None:
        if self._server is not None:
            self._server.close()
        log.error("no fork of what is loaded: this attempt loads everything itself", error=str(error))
        self._start_anew()

    def _start_anew(self) -> None:
        command = [sys.executable, "-m", "worker.runner", *self._arguments]
        self._process = subprocess.Popen(  # noqa: S603 (our own module; the id is one that the database knows)
            command, env=_environment(), start_new_session=True
        )
        log.info("attempt started", pid=self._process.pid)
