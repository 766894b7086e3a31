"""`python -m worker [cpu] [gpu]`: a Celery worker for each queue (both by default), the reaper, and the
sender of webhooks."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from types import FrameType

import structlog
from sqlalchemy.exc import SQLAlchemyError

from core import logs
from core.db.session import get_database
from core.jobs.line import somebody_waits
from core.jobs.queue import QUEUES
from core.jobs.reaper import reap
from core.processes import StopAsked
from core.settings import Settings, get_settings
from core.storage import get_storage
from worker import presence, schema, slots
from worker.health import beat, forget

log = structlog.get_logger(__name__)

_RESTART_SECONDS = 2.0
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
    descriptor = slots.make()
    workers = {queue: _start("worker.celery_main", queue, descriptor) for queue in queues or QUEUES}
    sender = _start_beside("worker.webhooks")
    tidying: subprocess.Popen[bytes] | None = None
    pollers: dict[str, subprocess.Popen[bytes]] = {}
    me = presence.introduce(list(workers), settings)
    log.info("worker started", worker=me.id, queues=me.queues, slots=me.slots, device=me.device)
    next_heartbeat = next_sweep = next_tidying = 0.0
    next_poll = time.monotonic() + settings.poll_seconds
    while not stop.wait(min(1.0, settings.reap_seconds)):
        for queue, process in workers.items():
            if process.poll() is not None:
                log.error("celery worker died; starting another", queue=queue, status=process.returncode)
                stop.wait(_RESTART_SECONDS)
                workers[queue] = _start("worker.celery_main", queue, descriptor)
        if sender.poll() is not None:
            log.error("sender of webhooks died; starting another", status=sender.returncode)
            stop.wait(_RESTART_SECONDS)
            sender = _start_beside("worker.webhooks")
        _show_alive(settings)
        if time.monotonic() >= next_heartbeat:
            presence.note_alive(me)
            next_heartbeat = time.monotonic() + settings.heartbeat_seconds
        if time.monotonic() >= next_sweep:
            _sweep(settings)
            # Jitter: several workers share one database.
            next_sweep = time.monotonic() + settings.reap_seconds * random.uniform(0.8, 1.2)  # noqa: S311
        if time.monotonic() >= next_poll:
            for queue in workers:
                if (queue not in pollers or pollers[queue].poll() is not None) and _unserved(queue, settings):
                    log.warning("rows wait and nobody was woken: looking without the broker", queue=queue)
                    pollers[queue] = _start("worker.poll", queue, descriptor)
            next_poll = time.monotonic() + settings.poll_seconds
        if time.monotonic() >= next_tidying and (tidying is None or tidying.poll() is not None):
            tidying = _start_beside("worker.tidying")
            next_tidying = time.monotonic() + _TIDY_SECONDS
    beside = [sender] if tidying is None else [sender, tidying]
    status = _stop([*workers.values(), *pollers.values(), *beside], settings)
    presence.sign_off(me)
    with suppress(OSError):
        forget(settings)
    return status


def _start(module: str, queue: str, descriptor: int) -> "subprocess.Popen[bytes]":
    # A session of its own, so that Ctrl-C reaches this process only, which passes it on in order.
    command = [sys.executable, "-m", module, queue, str(os.getpid()), str(descriptor)]
    # On standard output Celery says in plain words what the log says too.
    return subprocess.Popen(  # noqa: S603
        command, start_new_session=True, pass_fds=[descriptor], stdout=subprocess.DEVNULL
    )


def _start_beside(module: str) -> "subprocess.Popen[bytes]":
    # A process of its own: neither a slow target of a webhook nor a million files may hold up the sweeps.
    command = [sys.executable, "-m", module, str(os.getpid())]
    return subprocess.Popen(command, start_new_session=True)  # noqa: S603


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
            return schema.is_known(session) and somebody_waits(
                session, queue, running_limit=settings.owner_running_jobs
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


def _stop(workers: list["subprocess.Popen[bytes]"], settings: Settings) -> int:
    """Have running jobs save their state and go back to the queue, then end."""
    log.info("stopping")
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
    log.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
