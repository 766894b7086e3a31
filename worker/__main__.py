"""`python -m worker [cpu] [gpu]`: a Celery worker for each queue (both by default), and the reaper."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from types import FrameType

import structlog
from sqlalchemy.exc import SQLAlchemyError

from core import logs
from core.catalogue.blobs import forget_orphans
from core.catalogue.resumable import forget_expired
from core.db.session import get_database
from core.jobs.queue import QUEUES
from core.jobs.reaper import reap
from core.settings import Settings, get_settings
from core.storage.local import get_storage
from worker.health import beat

log = structlog.get_logger(__name__)

_RESTART_SECONDS = 2.0
_TIDY_SECONDS = 3600.0  # looks at every stored upload


def main(queues: list[str]) -> int:
    settings = get_settings()
    logs.configure(settings, process="worker")
    if unknown := set(queues) - set(QUEUES):
        print(
            f"condensery: no queue {', '.join(sorted(unknown))}; there are {', '.join(QUEUES)}",
            file=sys.stderr,
        )
        return 2
    stop = threading.Event()

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, ask_to_stop)
    workers = {queue: _start(queue) for queue in queues or QUEUES}
    log.info("worker started", queues=list(workers))
    next_sweep = next_tidying = 0.0
    while not stop.wait(min(1.0, settings.reap_seconds)):
        for queue, process in workers.items():
            if process.poll() is not None:
                log.error("celery worker died; starting another", queue=queue, status=process.returncode)
                stop.wait(_RESTART_SECONDS)
                workers[queue] = _start(queue)
        beat(settings)
        if time.monotonic() >= next_sweep:
            _sweep(settings)
            # Jitter: several workers share one database.
            next_sweep = time.monotonic() + settings.reap_seconds * random.uniform(0.8, 1.2)  # noqa: S311
        if time.monotonic() >= next_tidying:
            _tidy()
            next_tidying = time.monotonic() + _TIDY_SECONDS
    return _stop(list(workers.values()), settings)


def _start(queue: str) -> "subprocess.Popen[bytes]":
    # A session of its own, so that Ctrl-C reaches this process only, which passes it on in order.
    command = [sys.executable, "-m", "worker.celery_main", queue, str(os.getpid())]
    return subprocess.Popen(command, start_new_session=True)  # noqa: S603


def _sweep(settings: Settings) -> None:
    storage = get_storage()
    try:
        with get_database().writing() as session:
            reap(session, storage, settings)
        forget_expired(get_database(), storage, settings.upload_expiry_seconds)
    except SQLAlchemyError as error:
        log.warning("no sweep: the database does not answer", error=str(error))
    storage.forget_abandoned()


def _tidy() -> None:
    try:
        with get_database().reading() as session:
            removed = forget_orphans(session, get_storage())
    except SQLAlchemyError as error:
        log.warning("not tidied: the database does not answer", error=str(error))
        return
    if removed:
        log.warning("files of no upload removed", files=removed)


def _stop(workers: list["subprocess.Popen[bytes]"], settings: Settings) -> int:
    """Have running jobs save their state and go back to the queue, then end."""
    log.info("stopping")
    for process in workers:
        process.terminate()
    deadline = time.monotonic() + settings.stop_grace_seconds + 10
    for process in workers:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.error("a celery worker did not stop in time", pid=process.pid)
            process.kill()
            process.wait()
    log.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
