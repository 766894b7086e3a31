"""`python -m worker.tidying PARENT [orphans]`: once over everything, and away with what nobody needs.

With `orphans`, files that belong to nothing, too: not in a worker's first hour, in which a wrong address of
its database may yet be noticed.

A process of its own: with very many files it takes long, and neither sweeps nor a stop may wait for it.
"""

import sys

import structlog
from sqlalchemy.exc import SQLAlchemyError

from core import logs, retention
from core.catalogue.idempotency import forget_old
from core.catalogue.sweep import sweep
from core.db.session import get_database
from core.errors import StorageUnavailable
from core.processes import die_with_parent
from core.settings import get_settings
from core.storage import get_storage
from core.work.workers import forget_silent
from worker import schema

log = structlog.get_logger(__name__)


def main(parent: int, *, orphans: bool) -> int:
    die_with_parent(parent)
    settings = get_settings()
    logs.configure(settings, process="tidying")
    database, storage = get_database(), get_storage()
    try:
        with database.writing() as session:
            if not schema.is_known(session):
                return 0
            forget_silent(session)
            forget_old(session)
        retention.apply(database, storage, settings)
        if orphans:
            sweep(database, storage)
    except SQLAlchemyError as error:
        log.warning("not tidied: the database does not answer", error=str(error))
        return 1
    except (OSError, StorageUnavailable) as error:
        log.warning("not tidied: the disk or the storage refuses", error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), orphans="orphans" in sys.argv[2:]))
