"""The processes of a worker: forked from its first one while that has nothing open, else started anew.

What they share is loaded once instead of four times: a start takes half of the computing, and memory is
shared. A process that talks to a database must not fork (SQLite's locks and PostgreSQL's connections belong
to one process), so what is started later, such as one in the place of one that died, is a `python -m` of its
own. Both are the same to whoever is run: `sys.argv`, a session of its own, `__main__`.
"""

import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import NoReturn

from core.processes import Forked, can_fork, name_process

#: What the children import, without anything that a process must have for itself (worker/app.py).
_SHARED = (
    "celery.apps.worker",
    "celery.bin.worker",
    "celery.concurrency.prefork",
    "celery.worker.consumer",
    "core.catalogue.sweep",
    "core.work.leases",
    "worker.tidying",
    "worker.webhooks",
)
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

Child = Forked | subprocess.Popen[bytes]


def load_shared() -> None:
    for name in _SHARED:
        import_module(name)


def fork(module: str, *arguments: str, quiet: bool = False) -> Child:
    """Run a module as `python -m` does. To be called while this process has neither threads nor connections.

    Args:
        quiet: without standard output, on which Celery says in plain words what the log says, too.
    """
    if not can_fork():
        return start(module, *arguments, quiet=quiet)
    # A signal to the new process must not be handled as this one does, and not be lost either.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        if pid := os.fork():
            return Forked(pid)
        become(module, arguments, quiet=quiet, mask=blocked)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def start(module: str, *arguments: str, quiet: bool = False, pass_fds: Sequence[int] = ()) -> Child:
    """`python -m` with these arguments, in a session of its own: Ctrl-C reaches the first process only."""
    return subprocess.Popen(  # noqa: S603 (our own modules)
        [sys.executable, "-m", module, *arguments],
        start_new_session=True,
        pass_fds=pass_fds,
        stdout=subprocess.DEVNULL if quiet else None,
    )


def become(
    module: str, arguments: Sequence[str], *, quiet: bool = False, mask: Iterable[int | signal.Signals] = ()
) -> NoReturn:
    """Be, in a process just forked, what `python -m` of the module would be.

    Args:
        mask: of blocked signals, once this process handles them as a new one does.
    """
    status = 1
    try:
        os.setsid()
        for number in _SIGNALS:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        name_process(module.removeprefix("worker."))
        if quiet:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.argv = [module, *arguments]
        for loaded in (module, f"{module}.__main__"):  # runpy warns of it; what it imports stays
            if loaded in sys.modules and not hasattr(sys.modules[loaded], "__path__"):
                del sys.modules[loaded]
        runpy.run_module(module, run_name="__main__")
        status = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)  # noqa: T201 (as Python does)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Not sys.exit: what this process was when it was forked must not be ended here.
        os._exit(status)
