"""What an owner asks for, at the very moment at which a worker moves the job."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from sqlalchemy import select, text

from core.db.models import Job
from core.db.session import Database
from core.db.types import db_now
from core.errors import Conflict, NotFound
from core.jobs.control import cancel_job, delete_job, pause_job
from core.storage import Storage
from core.work.reaper import wait_again
from core.work.transitions import held_by, move
from tests.support.leased import event_types, job_of, new_row, take
from tests.support.processes import wait_for


def waits_for_a_lock(database: Database) -> bool:
    with database.reading() as session:
        waiting = session.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
        )
    return bool(waiting)


on_postgres = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer


@on_postgres
@pytest.mark.parametrize(
    ("ask", "state"), [("cancel", "cancelled"), ("pause", "paused")], ids=["cancel", "pause"]
)
def test_a_job_that_is_handed_over_meanwhile_does_as_it_was_asked(
    database: Database, storage: Storage, ask: str, state: str
) -> None:
    """The request reads the row while it is held, and gets its lock when it waits again."""
    job_id = new_row(database, Job)
    lease = take(database, job_id)

    def asked() -> str:
        with database.writing() as session:
            job = session.get_one(Job, job_id)
            return (cancel_job(session, storage, job) if ask == "cancel" else pause_job(session, job)).state

    with ThreadPoolExecutor(1) as pool:
        with database.writing() as session:
            row = session.get_one(Job, job_id)
            assert wait_again(session, row, *held_by(Job, lease.fence), data={}, phase="export")
            answer = pool.submit(asked)
            wait_for(lambda: waits_for_a_lock(database))
        assert answer.result(30) == state
    assert job_of(database, job_id).state == state


def test_cancelling_while_attempts_come_and_go(database: Database, storage: Storage) -> None:
    """Whatever the moment: cancelled or cancelling, never refused, never overtaken."""
    for _ in range(25):
        job_id = new_row(database, Job)
        with ThreadPoolExecutor(1) as pool:
            working = pool.submit(_come_and_go, database, job_id)
            wait_for(partial(_was_running, database, job_id))
            with database.writing() as session:
                state = cancel_job(session, storage, session.get_one(Job, job_id)).state
            working.result(30)
        assert state in ("cancelled", "cancelling")
        assert job_of(database, job_id).state == state


def _come_and_go(database: Database, job_id: str) -> None:
    """Claim the job and give it back, until it can no longer be claimed or given back."""
    moved = True
    while moved:
        with database.writing() as session:
            free = Job.lease_until.is_(None)
            moved = move(session, Job, job_id, "running", free, lease_until=db_now(60))
        if moved:
            with database.writing() as session:
                moved = move(session, Job, job_id, "queued", Job.state == "running")


def _was_running(database: Database, job_id: str) -> bool:
    return "running" in event_types(database, job_id)


@pytest.mark.parametrize("again", [delete_job, cancel_job])
def test_a_job_that_somebody_else_has_just_deleted_is_absent(
    database: Database, storage: Storage, again: Callable[..., object]
) -> None:
    job_id = new_row(database, Job, state="succeeded")
    with database.reading() as session:
        job = session.get_one(Job, job_id)
    with database.writing() as session:
        delete_job(session, storage, session.get_one(Job, job_id))
    with pytest.raises(NotFound), database.writing() as session:
        again(session, storage, session.merge(job, load=False))


@on_postgres
def test_of_two_that_delete_at_once_one_is_told_that_it_is_gone(database: Database, storage: Storage) -> None:
    job_id = new_row(database, Job, state="failed")

    def delete() -> str:
        try:
            with database.writing() as session:
                delete_job(session, storage, session.scalars(select(Job).where(Job.id == job_id)).one())
        except (NotFound, Conflict) as error:
            return error.code
        return "deleted"

    with ThreadPoolExecutor(1) as pool:
        with database.writing() as session:
            delete_job(session, storage, session.get_one(Job, job_id))
            other = pool.submit(delete)
            wait_for(lambda: waits_for_a_lock(database))
        assert other.result(30) == "not_found"
