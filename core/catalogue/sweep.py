"""Deleting files that belong to nothing, slowly enough that a wrong database erases no store.

To a database that is the wrong one, or was restored from a backup, a whole store belongs to nothing. So when
a file was first found to is remembered in that same database, and it goes only after it has belonged to
nothing in two sweeps a day apart: an empty or foreign database has seen nothing yet. And never more than a
tenth of all files goes at once, unless somebody says so (`python -m core.admin storage sweep`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from core.catalogue.orphans import DAY_SECONDS, PREFIXES, orphans
from core.db.models import Orphan
from core.db.session import Database
from core.db.types import db_now
from core.storage import Storage

#: Of all stored files, that a sweep deletes unless an administrator confirms.
LARGEST_SHARE: Final = 0.1
_DAY: Final = timedelta(seconds=DAY_SECONDS)
_AT_ONCE: Final = 500

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class FileCheck:
    """What a sweep has found.

    Attributes:
        files: how many are stored where this service stores files; 0 if `orphans` is.
        orphans: how many of them are older than a day and belong to nothing.
        due: the keys of those that already did a day ago.
        waiting_until: when the first of the others is due, by the database's clock; None if there is none.
    """

    files: int
    orphans: int
    due: list[str]
    waiting_until: datetime | None

    @property
    def share(self) -> float:
        """Of all files, those that are due."""
        return len(self.due) / max(self.files, 1)


def check_files(database: Database, storage: Storage, older_than_seconds: float = DAY_SECONDS) -> FileCheck:
    """Find the files that belong to nothing, and remember of each since when. Deletes nothing.

    What was thought to belong to nothing, and is gone or belongs to something, is forgotten: seen so once
    more, its day begins anew.
    """
    with database.reading() as session:
        found = set(orphans(session, storage, older_than_seconds))
    files = sum(1 for prefix in PREFIXES for _ in storage.keys(prefix)) if found else 0
    with database.writing() as session:
        known = set(session.scalars(select(Orphan.key)))
        _forget(session, known - found)
        _remember(session, found - known)
        due = session.scalars(select(Orphan.key).where(Orphan.seen_at < db_now(-DAY_SECONDS))).all()
        first = session.scalar(select(func.min(Orphan.seen_at)).where(Orphan.seen_at >= db_now(-DAY_SECONDS)))
    return FileCheck(
        files=files,
        orphans=len(found),
        due=sorted(found.intersection(due)),  # another worker may have found others meanwhile
        waiting_until=None if first is None else first + _DAY,
    )


def delete_orphans(database: Database, storage: Storage, keys: list[str]) -> None:
    """Delete these files. What dies in between leaves rows that the next check forgets."""
    for key in keys:
        storage.delete(key)
        log.info("file that belongs to nothing deleted", key=key)
    with database.writing() as session:
        _forget(session, keys)


def sweep(database: Database, storage: Storage, older_than_seconds: float = DAY_SECONDS) -> list[str]:
    """Delete what has belonged to nothing in two sweeps a day apart. Returns the keys.

    Nothing is deleted if that is more than a tenth of all files: the log says so, and what to do.
    """
    found = check_files(database, storage, older_than_seconds)
    counts = {"orphans": found.orphans, "files": found.files, "due": len(found.due)}
    if found.share > LARGEST_SHARE:
        log.warning(
            "files that belong to nothing are kept: they are more than a tenth of all",
            **counts,
            check="do database and storage belong together?",
            then_run="python -m core.admin storage sweep",
        )
        return []
    if found.due:
        delete_orphans(database, storage, found.due)
        log.warning("files that belong to nothing deleted", **counts)
    if found.waiting_until is not None:
        log.info(
            "files that belong to nothing are kept for a day after they were first seen",
            **counts,
            waiting_until=found.waiting_until.isoformat(timespec="seconds"),
        )
    return found.due


def _remember(session: Session, keys: Iterable[str]) -> None:
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    for some in _portions(keys):
        rows = [{"key": key, "seen_at": db_now()} for key in some]
        # Another worker may be sweeping, too: who saw it first, did.
        session.execute(insert(Orphan).values(rows).on_conflict_do_nothing())


def _forget(session: Session, keys: Iterable[str]) -> None:
    for some in _portions(keys):
        session.execute(delete(Orphan).where(Orphan.key.in_(some)))


def _portions(keys: Iterable[str]) -> Iterator[list[str]]:
    """As many as a statement may name; in order, so that two sweeps at once do not wait for each other."""
    remaining = sorted(keys)
    for start in range(0, len(remaining), _AT_ONCE):
        yield remaining[start : start + _AT_ONCE]
