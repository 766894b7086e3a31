"""The reaper, one pass of it."""

from datetime import UTC, datetime

from core.db.session import Database
from core.settings import Settings
from core.storage.local import LocalStorage
from core.work.reaper import Reaped, reap

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def reap_once(database: Database, storage: LocalStorage, settings: Settings) -> Reaped:
    with database.writing() as session:
        return reap(session, storage, settings)
