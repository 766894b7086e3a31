"""Blobs go once nothing in the database refers to them any more."""

from collections.abc import Callable

import structlog
from sqlalchemy.orm import Session

from core.db.session import after_commit
from core.errors import StorageUnavailable

log = structlog.get_logger(__name__)


def remove_after_commit(session: Session, remove: Callable[[], None]) -> None:
    """Call `remove` after the commit. If the storage is away then, the blobs stay, and the log says so.

    The row is gone by then: whoever asked for that must not be told that it failed.
    """

    def attempt() -> None:
        try:
            remove()
        except (StorageUnavailable, OSError):
            log.warning("blobs that nothing refers to were left behind")

    after_commit(session, attempt)
