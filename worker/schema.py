"""Whether this version of the code may touch the database."""

import structlog
from sqlalchemy.orm import Session

from core.db.migrate import is_current

log = structlog.get_logger(__name__)


def is_known(session: Session) -> bool:
    """Whether the database has this version's schema; says so in the log if not.

    A worker of another version would not understand what this database's own workers write, nor keep to their
    rules, nor know their files.
    """
    if is_current(session.connection()):
        return True
    log.error("takes no work: the database does not have the schema of this version")
    return False
