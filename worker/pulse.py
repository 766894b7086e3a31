"""The heartbeat of an attempt, beside the watch over its process: that must not wait for a database."""

import threading
import time

import structlog
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from core.db.session import Database
from core.settings import Settings
from worker.lease import Heartbeat, Lease

log = structlog.get_logger(__name__)

NOT_HELD = "not held"


class Pulse(threading.Thread):
    """Renews a lease and looks how its row is, until it is told to stop or the lease is gone.

    A daemon: it may be waiting for an answer that never comes.
    """

    def __init__(self, lease: Lease, settings: Settings, database: Database) -> None:
        super().__init__(name="pulse", daemon=True)
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
        state_of_it = select(lease.model.state).where(lease.model.id == lease.row_id)
        pause = min(settings.stop_poll_seconds, settings.heartbeat_seconds)
        next_renewal = time.monotonic() + settings.heartbeat_seconds
        while self._state != NOT_HELD and not self._over.wait(pause):
            try:
                if time.monotonic() < next_renewal:
                    with self._database.reading() as session:
                        self._state = session.scalar(state_of_it) or "unknown"
                    continue
                next_renewal = time.monotonic() + settings.heartbeat_seconds
                with self._database.writing() as session:
                    held = self._heartbeat.renew(session)
                self._state, self.events = held or (NOT_HELD, self.events)
            except DBAPIError as error:
                log.warning("lease not renewed", error=str(error.orig))

    def stop(self) -> None:
        """Do not wait for it: see above."""
        self._over.set()
