"""What an attempt may write: always under its fence, always with an event."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from sqlalchemy.orm import Session

from core.db.models import Dataset, Job
from core.db.session import Database
from core.errors import LeaseLost
from core.settings import Settings
from core.storage import Storage
from core.work.leases import Lease, is_to_stop
from core.work.transitions import LeasedRow, find, held_by, hold, record, require


class StopRequested(Exception):
    """The user cancels or pauses, or the worker is being stopped: save, then end."""


@dataclass
class Attempt:
    """One attempt at a row, in its own process."""

    lease: Lease
    settings: Settings
    database: Database
    storage: Storage
    _asked_to_stop: bool = field(default=False, init=False)
    _reported: float = field(default=0.0, init=False)

    def listen(self) -> None:
        """Take SIGTERM as the supervisor's request to stop."""

        def note(_signal: int, _frame: FrameType | None) -> None:
            self._asked_to_stop = True

        signal.signal(signal.SIGTERM, note)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction. A database that is away is waited for as long as the lease surely holds."""
        self.database.wait_until_writable(self.settings.lease_seconds * 2 / 3)
        with self.database.writing() as session:
            yield session

    def record(self, session: Session, event: str, data: dict[str, Any], **values: Any) -> None:
        """Raises LeaseLost unless this attempt still holds the row."""
        guards = held_by(self.lease.model, self.lease.fence)
        done = record(session, self.lease.model, self.lease.row_id, event, data, *guards, **values)
        require(done, self.lease.row_id, self.lease.fence)

    def row(self, session: Session) -> LeasedRow:
        """The row as it is now, if this attempt still holds it."""
        return self._mine(find(session, self.lease.model, self.lease.row_id))

    def hold(self, session: Session) -> LeasedRow:
        """`row`, and keep it as it is until the transaction ends."""
        return self._mine(hold(session, self.lease.model, self.lease.row_id))

    def _mine(self, found: LeasedRow | None) -> LeasedRow:
        if found is None or found.fence != self.lease.fence or found.lease_until is None:
            raise LeaseLost(f"{self.lease.row_id}: attempt {self.lease.fence} no longer holds the row")
        return found

    def job(self, session: Session) -> Job:
        found = self.row(session)
        assert isinstance(found, Job)
        return found

    def dataset(self, session: Session) -> Dataset:
        found = self.row(session)
        assert isinstance(found, Dataset)
        return found

    def due(self) -> bool:
        """Whether it is time for a progress event."""
        return time.monotonic() - self._reported >= self.settings.progress_seconds

    def progress(self, session: Session, data: dict[str, Any], **values: Any) -> None:
        """Record progress, and learn of a request to stop while at it."""
        if self.lease.model is Job:
            values.setdefault("progress", data)
        self.record(session, "progress", data, **values)
        self._reported = time.monotonic()
        if is_to_stop(session, self.row(session)):
            self._asked_to_stop = True

    def stop_if_asked(self) -> None:
        if self._asked_to_stop:
            raise StopRequested

    @property
    def asked_to_stop(self) -> bool:
        return self._asked_to_stop
