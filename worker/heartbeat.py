"""The heartbeat of an attempt, beside the watch over its process: that must not wait for a database."""

import threading
import time

import structlog
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from core.db.models import Job, Trial
from core.db.session import Database
from core.settings import Settings
from core.vocabulary import JOB_WITH_TRIALS
from core.work.leases import Heartbeat, Lease

log = structlog.get_logger(__name__)

NOT_HELD = "not held"


class HeartbeatThread(threading.Thread):
    """Renews a lease and checks the state of its row, until it is asked to stop or the lease is gone.

    A daemon: it may be waiting for an answer that never comes.
    """

    def __init__(self, lease: Lease, settings: Settings, database: Database) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._settings = settings
        self._database = database
        self._heartbeat = Heartbeat(lease, settings.lease_seconds)
        self._over = threading.Event()
        self._state = "unknown"
        self.events = -1
        """How many the row has had, as of the last renewal."""

    @property
    def state(self) -> str:
        """Of the row, as last seen; NOT_HELD if another attempt has it or may have it by now."""
        return NOT_HELD if self._heartbeat.overdue else self._state

    def run(self) -> None:
        lease, settings = self._heartbeat.lease, self._settings
        pause = min(settings.stop_poll_seconds, settings.heartbeat_seconds)
        next_renewal = time.monotonic() + settings.heartbeat_seconds
        while self._state != NOT_HELD and not self._over.wait(pause):
            try:
                if time.monotonic() < next_renewal:
                    with self._database.reading() as session:
                        self._state = _state_of(session, lease)
                    continue
                next_renewal = time.monotonic() + settings.heartbeat_seconds
                with self._database.writing() as session:
                    held = self._heartbeat.renew(session)
                self._state, self.events = held or (NOT_HELD, self.events)
                if held and lease.model is Trial:
                    with self._database.reading() as session:
                        self._state = _state_of(session, lease)
            except DBAPIError as error:
                log.warning("lease not renewed", error=str(error.orig))

    def stop(self) -> None:
        """Do not wait for it: see above."""
        self._over.set()


def _state_of(session: Session, lease: Lease) -> str:
    """Of a trial that goes on, `running`; of one whose job does not, that it is `cancelling`."""
    if lease.model is not Trial:
        return session.scalar(select(lease.model.state).where(lease.model.id == lease.row_id)) or "unknown"
    of_it = select(Job.state).join(Trial, Trial.job_id == Job.id).where(Trial.id == lease.row_id)
    return "running" if session.scalar(of_it) in JOB_WITH_TRIALS else "cancelling"
