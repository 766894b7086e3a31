"""`python -m api` and `python -m worker`, forked from a process that has loaded what they load.

To whoever is run, and to whoever looks, it is the same: the command line, the environment, `__main__`, a
session of its own. What takes most of a start, seconds of computing, is done once for each process of tests.
Starts from nothing are what `condensery up`, the README and tests/integration/test_api_server.py are for.
"""

import atexit
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, NoReturn

from core.processes import can_fork, show_command

ROOT = Path(__file__).parents[2]
#: Without anything that a process must have for itself: settings, an application of Celery, a database.
_LOADED = ("api.app", "api.__main__", "worker.__main__")
#: What takes effect before `main` does: settings of the loader, of Python and of numpy's threads.
_EARLY = ("LD_", "PYTHON", "OMP_", "OPENBLAS_", "MKL_")
_REQUEST_BYTES = 1 << 20

_in_use = False


class WarmProcess:
    """What tests use of `subprocess.Popen`."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._answers = connection.makefile("rb")
        self.pid = int(self._answers.readline())
        self._descriptor = os.pidfd_open(self.pid)
        connection.sendall(b"!")  # from now on its number may be another's
        self.returncode: int | None = None

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            self.returncode = os.waitstatus_to_exitcode(int(self._answers.readline()))
            os.close(self._descriptor)
            self._answers.close()
            self._connection.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


Process = WarmProcess | subprocess.Popen[bytes]


def use() -> None:
    """From now on `start` forks. Else it starts anew, as for measurements."""
    global _in_use
    _in_use = True


def start(module: str, environment: Mapping[str, str], log: IO[bytes]) -> Process:
    """`python -m` of a module of the service, in the project's folder, with what it says in the log."""
    if not _in_use or not can_fork() or _early(environment) != _early(os.environ):
        return subprocess.Popen(
            [sys.executable, "-m", module], env=environment, cwd=ROOT, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    here, there = socket.socketpair()
    with there:
        request = json.dumps({"module": module, "environment": dict(environment)}).encode()
        assert len(request) < _REQUEST_BYTES
        socket.send_fds(_loaded(), [request], [there.fileno(), log.fileno()])
    return WarmProcess(here)


def _early(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_EARLY)}


@cache
def _loaded() -> socket.socket:
    """To the one process of this one that forks for it, until this one ends."""
    here, there = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with there:
        room = "-" * 200  # for the command line of what it forks
        command = [sys.executable, "-m", "tests.support.warm", str(there.fileno()), room]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("CONDENSERY_")}
        subprocess.Popen(command, cwd=ROOT, env=clean, pass_fds=[there.fileno()], start_new_session=True)
    atexit.register(here.close)
    return here


def main(descriptor: int) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait for what runs
    gc.disable()
    for name in _LOADED:
        import_module(name)
    from worker import children

    children.load_shared()
    gc.freeze()
    with socket.socket(fileno=descriptor) as requests:
        while True:
            request, descriptors, _, _ = socket.recv_fds(requests, _REQUEST_BYTES, 2)
            if not request:
                return
            if os.fork() == 0:
                requests.close()
                connection, log = descriptors
                _keep(connection, log, **json.loads(request))
            for one in descriptors:
                os.close(one)


def _keep(connection: int, log: int, module: str, environment: dict[str, str]) -> NoReturn:
    """Start it, and report its number and, in the end, its status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(connection)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        _become(module, environment)
    os.close(log)
    ended = os.pidfd_open(pid)
    with socket.socket(fileno=connection) as whoever_asked:
        with suppress(OSError):
            whoever_asked.sendall(b"%d\n" % pid)
            whoever_asked.recv(1)
            select.select([ended, connection], [], [])
        if not select.select([ended], [], [], 0)[0]:
            os.kill(pid, signal.SIGKILL)  # whoever asked is gone, and nobody else would
        status = os.waitpid(pid, 0)[1]
        with suppress(OSError):
            whoever_asked.sendall(b"%d\n" % status)
    os._exit(0)


def _become(module: str, environment: dict[str, str]) -> NoReturn:
    from worker import children

    gc.enable()
    os.environ.clear()
    os.environ.update(environment)
    show_command([sys.executable, "-m", module])
    children.become(module, ())


if __name__ == "__main__":
    main(int(sys.argv[1]))
