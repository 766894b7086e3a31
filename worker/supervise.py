"""Watch over the process that does an attempt's work.

This side renews the lease, passes on requests to stop, kills what does not stop or reports nothing,
and settles the row if the process died without doing so itself.
"""

import signal
import time

import structlog
from sqlalchemy.orm import Session

from core.db.models import Trial
from core.db.session import Database
from core.settings import Settings
from core.storage import Storage
from core.work.leases import Lease
from core.work.reaper import release, wait_again
from core.work.retries import Cause
from core.work.transitions import HELD, hold
from worker.app import draining
from worker.heartbeat import NOT_HELD, HeartbeatThread
from worker.runner_environment import EX_DATABASE_AWAY
from worker.runner_process import RunnerProcess

log = structlog.get_logger(__name__)

STALLED = "stalled"
_TICK_SECONDS = 0.2
#: States in which the process is asked to end. One that pauses has a step and a checkpoint to finish,
#: however long they take. One that is not held was lost, or given back by an attempt that has finished and
#: still tidies up: nothing that it does counts any more, but a kill at once would leave its blobs behind.
_STOPS = ("cancelling", "pausing", "drain", NOT_HELD)


def supervise(lease: Lease, settings: Settings, database: Database, storage: Storage) -> None:
    """Run worker/runner.py for a lease until it has ended, one way or another."""
    process = RunnerProcess(lease.noun, lease.row_id, lease.fence)
    try:
        reason = _watch(process, lease, settings, database)
    finally:
        status = process.end()
    log.info("attempt ended", status=status, reason=reason)
    # Should it stay away, the lease runs out and the reaper does the same.
    database.wait_until_writable(settings.lease_seconds)
    with database.writing() as session:
        _settle(session, lease, settings, storage, status, reason)


def _watch(process: RunnerProcess, lease: Lease, settings: Settings, database: Database) -> str | None:
    """Until the process ends, or must be killed. Returns why we made it end, if we did."""
    heartbeat = HeartbeatThread(lease, settings, database)
    heartbeat.start()
    events, last_event = -1, time.monotonic()
    kill_at, reason = float("inf"), None
    try:
        while True:
            if process.wait(_TICK_SECONDS) is not None:
                return reason
            now = time.monotonic()
            if heartbeat.events != events:
                events, last_event = heartbeat.events, now
            elif now - last_event > settings.stall_seconds:
                return STALLED
            state = "drain" if draining() else heartbeat.state
            if state in _STOPS and state != reason:
                reason = state
                process.send_signal(signal.SIGTERM)
                if state != "pausing":
                    kill_at = min(kill_at, now + settings.stop_grace_seconds)
            if now >= kill_at:
                return reason
    finally:
        heartbeat.stop()


def _settle(
    session: Session, lease: Lease, settings: Settings, storage: Storage, status: int, reason: str | None
) -> None:
    """Put the row right if the attempt still holds it: its process ended before it could."""
    row = hold(session, lease.model, lease.row_id)
    if row is None or row.fence != lease.fence or row.lease_until is None:
        return
    if row.state not in HELD[lease.model]:
        return
    # A trial whose job was stopped goes back to that job, too.
    stopped = reason == "drain" or (isinstance(row, Trial) and reason in _STOPS)
    if stopped and row.state not in ("cancelling", "pausing"):
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
