"""Sweeps, without waiting for a day."""

from sqlalchemy import update

from core.catalogue.sweep import check_files, delete_orphans
from core.db.models import Orphan
from core.db.session import Database
from core.db.types import db_now
from core.storage import Storage


def seen_before(database: Database, hours: float) -> None:
    """As if every file that is known to belong to nothing had been found so many hours ago."""
    with database.writing() as session:
        session.execute(update(Orphan).values(seen_at=db_now(-hours * 3600)))


def sweep_everything(database: Database, storage: Storage) -> None:
    """Delete all that belongs to nothing, as two sweeps would, were everything old enough."""
    check_files(database, storage, 0)
    seen_before(database, 25)
    delete_orphans(database, storage, check_files(database, storage, 0).due)
