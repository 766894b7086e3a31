"""The one clock that leases go by: the database's."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from core.db.models import Job
from core.db.session import Database
from core.db.types import db_now
from tests.support.leased import (
    add_job,
)


@pytest.mark.parametrize("offset", [0.0, 0.25, -0.25, 59.5, -3600.0, 86_400.0])
def test_the_database_clock_adds_an_offset(database: Database, offset: float) -> None:
    with database.reading() as session:
        now, shifted = session.execute(select(db_now(), db_now(offset))).one()
    assert now.tzinfo is not None
    # Milliseconds on SQLite, microseconds on PostgreSQL, and the two calls may straddle a tick.
    assert abs((shifted - now).total_seconds() - offset) < 0.1


def test_the_database_clock_moves_within_a_transaction(database: Database) -> None:
    with database.writing() as session:
        first = session.scalar(select(db_now()))
        assert first is not None
        later = first
        while later <= first:
            later = session.scalar(select(db_now())) or first


def test_written_and_computed_instants_compare(database: Database) -> None:
    """SQLite compares text: what SQLAlchemy wrote and what `strftime` makes must be of one form."""
    with database.writing() as session:
        now = session.scalar(select(db_now()))
        assert now is not None
        job = add_job(
            session, lease_until=now.replace(microsecond=0) + timedelta(seconds=30), state="running"
        )
        for offset, expired in ((0.0, False), (25.0, False), (31.0, True)):
            found = session.scalar(select(Job.id).where(Job.lease_until < db_now(offset)))
            assert found == (job.id if expired else None), offset
