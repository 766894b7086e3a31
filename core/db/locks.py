"""One transaction at a time, where a rule spans rows that do not exist yet."""

import hashlib

from sqlalchemy import func, select
from sqlalchemy.orm import Session


def serialise(session: Session, what: str) -> None:
    """Wait until no other transaction holds the name `what`, and hold it until this one ends.

    SQLite has one writer at a time as it is.
    """
    if session.get_bind().dialect.name == "postgresql":
        number = int.from_bytes(hashlib.sha256(what.encode()).digest()[:8], "big", signed=True)
        session.execute(select(func.pg_advisory_xact_lock(number)))
