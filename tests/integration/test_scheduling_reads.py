"""What is read to find the next job: the same answer as of a look at every waiting job, for much less."""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.orm import Session

from core.db.models import Job
from core.db.session import Database
from core.ids import new_id
from core.vocabulary import JOB_HELD, JOB_STATES, PRIORITIES, QUEUES
from core.work.scheduling import due, next_row

NEVER = datetime.min.replace(tzinfo=UTC)
BEFORE = datetime(2026, 1, 1, tzinfo=UTC)
#: Far enough from now that no clock matters.
FAR = timedelta(days=20_000)
#: What the choice of a plan may make of a difference.
FEW = 200

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "owner": st.sampled_from(("ann", "bob", "Cy", "d_d")),
            "priority": st.integers(0, len(PRIORITIES) - 1),
            "state": st.sampled_from(("queued", "queued", "queued", *JOB_STATES)),
            "queue": st.sampled_from(QUEUES),
            "retry_at": st.sampled_from((None, None, BEFORE, BEFORE + timedelta(1), BEFORE + FAR)),
            "started_at": st.sampled_from((None, *(BEFORE + timedelta(n) for n in range(3)))),
        }
    ),
    max_size=25,
)


def row(**values: Any) -> dict[str, Any]:
    defaults = {"id": new_id("job"), "owner": "ann", "priority": 1, "state": "queued", "queue": "gpu"}
    return defaults | {"phase": "condense", "data_hash": "0" * 64, "spec": {}} | values


def fill(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    # Deleted rows would leave an index so thin that PostgreSQL prefers to read the whole table.
    in_postgresql = session.get_bind().dialect.name == "postgresql"
    session.execute(text("TRUNCATE jobs CASCADE") if in_postgresql else delete(Job))
    if rows:
        session.execute(insert(Job), rows)


def plainly(session: Session, queue: str, limit: int) -> str | None:
    """Next by a look at every waiting job."""
    waiting = (
        select(Job.owner, Job.priority, func.min(Job.id).label("id"))
        .where(Job.state == "queued", Job.queue == queue, due(Job))
        .group_by(Job.owner, Job.priority)
    )
    held = select(Job.owner, func.count()).where(Job.state.in_(JOB_HELD)).group_by(Job.owner)
    held_by: dict[str, int] = dict(session.execute(held).all())
    started = select(Job.owner, func.max(Job.started_at)).group_by(Job.owner)
    last_start: dict[str, datetime | None] = dict(session.execute(started).all())
    turns = [
        (-one.priority, held_by.get(one.owner, 0), last_start[one.owner] or NEVER, one.id)
        for one in session.execute(waiting)
        if held_by.get(one.owner, 0) < limit
    ]
    return min(turns)[-1] if turns else None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=ROWS,
    queue=st.sampled_from(QUEUES),
    limit=st.integers(1, 3),
)
def test_the_next_is_that_of_a_look_at_all(
    database: Database, rows: list[dict[str, Any]], queue: str, limit: int
) -> None:
    with database.writing() as session:
        fill(session, [row(**one) for one in rows])
        # All that wait are taken one after the other, so that every rule has its turn.
        while found := next_row(session, queue, running_limit=limit):
            assert found == (Job, plainly(session, queue, limit))
            taken = session.get_one(Job, found[1])
            taken.state = "running"
            session.flush()
        assert plainly(session, queue, limit) is None


@pytest.mark.parametrize(
    "many",
    [
        pytest.param({}, id="due"),
        pytest.param({"retry_at": BEFORE + FAR}, id="not due"),
        pytest.param({"queue": "cpu"}, id="of another queue"),
        pytest.param({"state": "succeeded", "started_at": BEFORE}, id="finished"),
        pytest.param({"owner": "bob"}, id="of another owner"),
    ],
)
def test_what_is_read_does_not_grow_with_the_queue(database: Database, many: dict[str, Any]) -> None:
    reads = []
    for count in (20, 2000):
        with database.writing() as session:
            fill(
                session, [row(started_at=BEFORE, state="failed"), row(), *(row(**many) for _ in range(count))]
            )
        gather_statistics(database, vacuum=True)
        reads.append(reads_of_next_row(database))
    assert reads[1] <= 2 * reads[0] + FEW, reads


def test_nor_if_it_grew_after_the_database_had_looked_at_it(database: Database) -> None:
    reads = []
    for count in (20, 2000):
        with database.writing() as session:
            fill(session, [row(state="failed") for _ in range(10_000)])
        gather_statistics(database, vacuum=False)
        with database.writing() as session:
            session.execute(insert(Job), [row() for _ in range(count)])
        reads.append(reads_of_next_row(database))
    assert reads[1] <= 2 * reads[0] + FEW, reads


def gather_statistics(database: Database, *, vacuum: bool) -> None:
    with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        in_postgresql = connection.dialect.name == "postgresql"
        connection.execute(text("VACUUM ANALYZE jobs" if vacuum and in_postgresql else "ANALYZE"))


def reads_of_next_row(database: Database) -> int:
    """Rows and entries of indexes on PostgreSQL; of SQLite, which has no such count, its machine's steps."""
    with database.writing() as session:
        connection = session.connection().connection.dbapi_connection
        if isinstance(connection, sqlite3.Connection):
            steps = 0

            def step() -> None:
                nonlocal steps
                steps += 1

            connection.set_progress_handler(step, 1)
            assert next_row(session, "gpu", running_limit=9) is not None
            connection.set_progress_handler(None, 0)
            return steps
        assert isinstance(connection, psycopg.Connection)
        counted = text(
            "SELECT sum(pg_stat_get_xact_tuples_returned(oid)) FROM pg_class WHERE oid = 'jobs'::regclass "
            "OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'jobs'::regclass)"
        )
        before = session.scalar(counted)
        assert next_row(session, "gpu", running_limit=9) is not None
        return int(session.scalar(counted)) - int(before)
