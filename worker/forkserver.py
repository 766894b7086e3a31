"""`python -m worker.forkserver DESCRIPTOR PARENT KIND ROOM`: a process that has loaded what runners need.

torch takes seconds to load; a process forked from one that has it starts in milliseconds. This process never
runs an operation of torch, nor asks for a device, nor opens a connection: threads and CUDA do not live
through a fork. What it forks is no child of its own but its parent's: that waits for it, sends it signals and
takes it along when it dies, as if it had started it itself (worker/runner_process.py).

It serves rows of some kinds: an ingest is held to a limit of memory, which what others need is no part of.

A request is a line of JSON: `arguments` of worker/runner.py, `environment`, `directory`. The answer is a line
with the id of the process.
"""

import gc
import json
import os
import socket
import sys
from importlib import import_module
from typing import Any, NoReturn

from core.processes import die_with_parent, show_command
from worker import runner

#: Which rows' attempts a server forks, by what it has loaded.
SERVES = {"tensors": ("job", "trial"), "dataset": ("dataset",), "condensed-set": ("condensed-set",)}

_GO = b"!"


def main(descriptor: int, parent: int, kind: str) -> None:
    die_with_parent(parent)
    os.set_inheritable(descriptor, False)
    # Loading makes many objects, and all of them stay: to look for garbage among them takes an eighth of the
    # time, and in a forked process it would copy every page on which they lie.
    gc.disable()
    _load(kind)
    gc.freeze()
    if request := _serve(descriptor):
        _run(**request)


def _serve(descriptor: int) -> dict[str, Any] | None:
    """Fork until the parent is gone or needs no runners any more. In a new process: its request."""
    with socket.socket(fileno=descriptor) as connection, connection.makefile("rb") as requests:
        for line in requests:
            request: dict[str, Any] = json.loads(line)
            if _fork(connection):
                return request
    return None


def _load(kind: str) -> None:
    for noun in SERVES[kind]:
        import_module(runner.DOES[noun])
    if kind == "tensors":
        # Compiled in a second or so, and no operation of torch.
        from core.engine.cpu.library import library

        library()


def _fork(connection: socket.socket) -> bool:
    """Fork a child of this process's parent, and report its id. Returns whether this is the new process."""
    pid_reader, pid_writer = os.pipe()
    waits, go = os.pipe()
    between = os.fork()
    if between == 0:
        # The child of a process that ends falls to the nearest one above that takes such children: the
        # parent has asked for that.
        if child := os.fork():
            os.write(pid_writer, b"%d\n" % child)
            os._exit(0)
        for unused in (pid_reader, pid_writer, go):
            os.close(unused)
        # Only what the parent knows of may run.
        if os.read(waits, 1) != _GO:
            os._exit(1)
        os.close(waits)
        return True
    os.close(pid_writer)
    os.close(waits)
    os.waitpid(between, 0)
    with os.fdopen(pid_reader, "rb") as pid, os.fdopen(go, "wb", buffering=0) as signal_to_go:
        connection.sendall(pid.read())
        signal_to_go.write(_GO)
    return False


def _run(arguments: list[str], environment: dict[str, str], directory: str) -> NoReturn:
    """What `python -m worker.runner` does, in this new process."""
    gc.enable()
    os.setsid()
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    show_command([sys.executable, "-m", "worker.runner", *arguments])
    noun, row_id, fence, parent = arguments
    try:
        status = runner.main(noun, row_id, int(fence), int(parent))
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: to take apart what was loaded would first copy all of it.
    os._exit(status)


if __name__ == "__main__":
    # The last one is room: see show_command.
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
