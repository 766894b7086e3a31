"""`python -m worker [cpu] [gpu]`: a Celery worker for each queue (both by default), the reaper, and the
sender of webhooks."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from types import FrameType

import structlog
from sqlalchemy.exc import SQLAlchemyError

from core import logs
from core.db.session import get_database
from core.processes import StopAsked, kill_orphans, take_orphans
from core.settings import Settings, get_settings
from core.storage import get_storage
from core.vocabulary import QUEUES
from core.work.reaper import reap
from core.work.scheduling import next_row
from worker import children, registry, schema, slots
from worker.health import beat, forget
from worker.revived import Revived

log = structlog.get_logger(__name__)

_TIDY_SECONDS = 3600.0  # looks at every stored file
#: For the end of Celery's processes, once the jobs have ended or were killed.
_CLOSING_SECONDS = 1.5


def main(queues: list[str]) -> int:
    settings = get_settings()
    logs.configure(settings, process="worker")
    if unknown := set(queues) - set(QUEUES):
        log.critical(f"no queue {', '.join(sorted(unknown))}; there are {', '.join(QUEUES)}")
        return 2
    stop = StopAsked()

    def ask_to_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, ask_to_stop)
    descriptor, here = slots.make(), str(os.getpid())
    children.load_shared()

    def celery(queue: str) -> tuple[str, ...]:
        return "worker.celery_main", queue, here, str(descriptor)

    def celery_anew(queue: str) -> children.Child:
        return children.start(*celery(queue), quiet=True, pass_fds=[descriptor])

    began = time.monotonic()
    workers = {
        queue: Revived(
            f"celery worker of queue {queue}",
            children.fork(*celery(queue), quiet=True),
            partial(celery_anew, queue),
            began,
        )
        for queue in queues or QUEUES
    }
    # Beside the sweeps: neither a slow target of a webhook nor a million files may hold them up.
    sender = Revived(
        "sender of webhooks",
        children.fork("worker.webhooks", here),
        partial(children.start, "worker.webhooks", here),
        began,
    )
    tidying = children.fork("worker.tidying", here)
    next_tidying = time.monotonic() + _TIDY_SECONDS
    pollers: dict[str, children.Child] = {}
    me = registry.introduce(list(workers), settings)
    log.info("worker started", worker=me.id, queues=me.queues, slots=me.slots, device=me.device)
    next_heartbeat = next_sweep = 0.0
    next_poll = time.monotonic() + settings.poll_seconds
    while not stop.wait(min(1.0, settings.reap_seconds)):
        for process in (*workers.values(), sender):
            process.tend(time.monotonic())
        _show_alive(settings)
        if time.monotonic() >= next_heartbeat:
            registry.note_alive(me)
            next_heartbeat = time.monotonic() + settings.heartbeat_seconds
        if time.monotonic() >= next_sweep:
            _sweep(settings)
            # Jitter: several workers share one database.
            next_sweep = time.monotonic() + settings.reap_seconds * random.uniform(0.8, 1.2)  # noqa: S311
        if time.monotonic() >= next_poll:
            for queue in workers:
                if (queue not in pollers or pollers[queue].poll() is not None) and _unserved(queue, settings):
                    log.warning("rows wait and nobody was woken: polling without the broker", queue=queue)
                    arguments = ("worker.poll", queue, here, str(descriptor))
                    pollers[queue] = children.start(*arguments, pass_fds=[descriptor])
            next_poll = time.monotonic() + settings.poll_seconds
        if time.monotonic() >= next_tidying and tidying.poll() is not None:
            tidying = children.start("worker.tidying", here, "orphans")
            next_tidying = time.monotonic() + _TIDY_SECONDS
    revived = [one.child for one in (*workers.values(), sender)]
    status = _stop([*revived, *pollers.values(), tidying], settings)
    registry.sign_off(me)
    with suppress(OSError):
        forget(settings)
    return status


def _show_alive(settings: Settings) -> None:
    try:
        beat(settings)
    except OSError as error:
        log.warning("the file that says that this worker lives could not be touched", error=str(error))


def _unserved(queue: str, settings: Settings) -> bool:
    """Whether rows wait for this queue while one of its slots is free."""
    with slots.slot(queue, settings, tries=1) as free:
        pass  # only looking: who is woken this very moment tries again
    if not free:
        return False
    try:
        with get_database().reading() as session:
            return (
                schema.is_known(session)
                and next_row(session, queue, running_limit=settings.owner_running_jobs) is not None
            )
    except SQLAlchemyError as error:
        log.warning("not polled: the database does not answer", error=str(error))
        return False


def _sweep(settings: Settings) -> None:
    try:
        storage = get_storage()
        with get_database().writing() as session:
            if schema.is_known(session):
                reap(session, storage, settings)
        storage.forget_abandoned()
    except SQLAlchemyError as error:
        log.warning("no sweep: the database does not answer", error=str(error))
    except OSError as error:
        log.warning("temporary files not swept", error=str(error))


def _stop(workers: list[children.Child], settings: Settings) -> int:
    """Have running jobs save their state and go back to the queue, then end."""
    log.info("stopping")
    take_orphans()  # such as the compiler that a process was waiting for which is killed
    for process in workers:
        process.terminate()
    deadline = time.monotonic() + settings.stop_grace_seconds + _CLOSING_SECONDS
    for process in workers:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.error("a process did not stop in time", pid=process.pid)
            process.kill()
            process.wait()
    kill_orphans()
    log.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
