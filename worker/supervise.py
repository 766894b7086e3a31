"""Watch over the process that does an attempt's work.

This side renews the lease, passes on requests to stop, kills what does not stop or reports nothing,
and settles the row if the process died without doing so itself.
"""

import os
import signal
import subprocess
import sys
import time

import structlog
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from core.db.models import Dataset, Job
from core.db.session import Database
from core.jobs.reaper import release, wait_again
from core.jobs.setbacks import Cause
from core.jobs.states import JOB_HELD
from core.jobs.transitions import find
from core.settings import Settings
from core.storage import Storage
from worker.app import draining
from worker.lease import Heartbeat, Lease
from worker.runner_environment import EX_DATABASE_AWAY, RUNNER_ENVIRONMENT

log = structlog.get_logger(__name__)

STALLED = "stalled"
_TICK_SECONDS = 0.2


def supervise(lease: Lease, settings: Settings, database: Database, storage: Storage) -> None:
    """Run `python -m worker.runner` for a lease until it has ended, one way or another."""
    kind = "dataset" if lease.model is Dataset else "job"
    command = [sys.executable, "-m", "worker.runner", kind, lease.row_id, str(lease.fence)]
    process = subprocess.Popen(  # noqa: S603 (our own module; the id is one that the database knows)
        [*command, str(os.getpid())], env={**os.environ, **RUNNER_ENVIRONMENT}, start_new_session=True
    )
    log.info("attempt started", pid=process.pid)
    try:
        reason = _watch(process, lease, settings, database)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    log.info("attempt ended", status=process.returncode, reason=reason)
    # Should it stay away, the lease runs out and the reaper does the same.
    database.wait_until_writable(settings.lease_seconds)
    with database.writing() as session:
        _settle(session, lease, settings, storage, process.returncode, reason)


def _watch(
    process: "subprocess.Popen[bytes]", lease: Lease, settings: Settings, database: Database
) -> str | None:
    """Until the process ends, or must be killed. Returns why we made it end, if we did."""
    heartbeat = Heartbeat(lease, settings.lease_seconds)
    next_renewal = time.monotonic() + settings.heartbeat_seconds
    next_look = time.monotonic() + settings.stop_poll_seconds
    events, last_event = -1, time.monotonic()
    kill_at, reason = float("inf"), None
    while True:
        try:
            process.wait(_TICK_SECONDS)
            return reason
        except subprocess.TimeoutExpired:
            now = time.monotonic()
        if now >= next_renewal:
            next_renewal = now + settings.heartbeat_seconds
            held = _renew(heartbeat, database)
            if held is None:
                # Lost, or given back by an attempt that has finished and still tidies up: nothing that a
                # fenced attempt does counts, but a kill now would leave its blobs behind.
                state, seen, next_renewal = "not held", events, float("inf")
            else:
                state, seen = held
            if seen != events:
                events, last_event = seen, now
            elif now - last_event > settings.stall_seconds:
                return STALLED
        elif now >= next_look:
            next_look = now + settings.stop_poll_seconds
            state = _state(lease, database)
        else:
            state = "unknown"
        if draining():
            state = "drain"
        if state in ("cancelling", "pausing", "drain", "not held") and reason is None:
            reason, kill_at = state, now + settings.stop_grace_seconds
            process.send_signal(signal.SIGTERM)
        if now >= kill_at:
            return reason


def _renew(heartbeat: Heartbeat, database: Database) -> tuple[str, int] | None:
    try:
        with database.writing() as session:
            return heartbeat.renew(session)
    except DBAPIError as error:
        log.warning("lease not renewed", error=str(error.orig))
        return None if heartbeat.overdue else ("unknown", -1)


def _state(lease: Lease, database: Database) -> str:
    try:
        with database.reading() as session:
            return (
                session.scalar(select(lease.model.state).where(lease.model.id == lease.row_id)) or "unknown"
            )
    except DBAPIError:
        return "unknown"


def _settle(
    session: Session, lease: Lease, settings: Settings, storage: Storage, status: int, reason: str | None
) -> None:
    """Put the row right if the attempt still holds it: its process ended before it could."""
    row = find(session, lease.model, lease.row_id)
    if row is None or row.fence != lease.fence or row.lease_until is None:
        return
    if isinstance(row, Job) and row.state not in JOB_HELD:
        return
    if reason == "drain" and row.state in ("running", "ingesting"):
        wait_again(
            session, row, type(row).fence == row.fence,
            data={"reason": "the worker was stopped"}, dispatched_at=None,
        )  # fmt: skip
        return
    cause, sentence = _why(status, reason, settings)
    release(session, storage, row, settings, cause, sentence)


def _why(status: int, reason: str | None, settings: Settings) -> tuple[Cause, str]:
    if reason == STALLED:
        return "stalled", f"nothing was reported for {settings.stall_seconds:g} seconds"
    if status == EX_DATABASE_AWAY:
        return "database_unavailable", "the database did not answer"
    ended = f"killed by signal {-status}" if status < 0 else f"ended with status {status}"
    return "worker_lost", f"its process {ended}" + (f" ({reason})" if reason else "")
