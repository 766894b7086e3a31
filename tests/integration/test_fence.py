"""What an attempt writes is guarded by its fence."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.db.models import Checkpoint, Job, Metric, Trial
from core.db.session import Database
from core.errors import LeaseLost
from core.settings import Settings
from core.storage.local import LocalStorage
from core.work.leases import Lease
from core.work.transitions import held_by, move, require
from tests.support.leased import (
    OWNER,
    event_types,
    job_of,
    new_row,
    take,
)
from worker.attempt import Attempt


def attempt_of(database: Database, lease: Lease, folder: Path) -> Attempt:
    storage = LocalStorage(folder / "storage")
    return Attempt(lease=lease, settings=Settings(data_dir=folder), database=database, storage=storage)


def _record(attempt: Attempt, session: Session) -> None:
    attempt.record(session, "note", {}, iteration=99)


def _progress(attempt: Attempt, session: Session) -> None:
    attempt.progress(session, {"iteration": 99}, iteration=99)
    row = {"job_id": attempt.lease.row_id, "owner": OWNER, "fence": attempt.lease.fence}
    session.add(Metric(**row, series="loss", x=99, value=1.0, seconds=1.0))


def _checkpoint(attempt: Attempt, session: Session) -> None:
    row = {"job_id": attempt.lease.row_id, "owner": OWNER, "fence": attempt.lease.fence}
    session.add(Checkpoint(**row, iteration=99, blob_key="k", size=1, sha256="0" * 64))
    session.flush()
    attempt.record(session, "checkpoint", {}, iteration=99, setbacks={})


def _publish(attempt: Attempt, session: Session) -> None:
    lease = attempt.lease
    done = move(session, Job, lease.row_id, "succeeded", *held_by(Job, lease.fence), result={"hlr": 0})
    require(done, lease.row_id, lease.fence)


def _read(attempt: Attempt, session: Session) -> None:
    attempt.job(session)


@pytest.mark.parametrize("write", [_record, _progress, _checkpoint, _publish, _read])
@pytest.mark.parametrize("fate", ["requeued", "claimed by another", "cancelled"])
def test_a_fenced_attempt_writes_nothing(
    database: Database, tmp_path: Path, write: Callable[[Attempt, Session], None], fate: str
) -> None:
    job_id = new_row(database, Job)
    old = attempt_of(database, take(database, job_id), tmp_path)
    with database.writing() as session:
        if fate == "cancelled":
            move(session, Job, job_id, "cancelling")
        move(session, Job, job_id, "cancelled" if fate == "cancelled" else "queued")
    if fate == "claimed by another":
        take(database, job_id)
    before = {k: v for k, v in vars(job_of(database, job_id)).items() if not k.startswith("_")}
    events = event_types(database, job_id)
    with pytest.raises(LeaseLost, match="attempt 1 no longer holds"), old.writing() as session:
        write(old, session)
    after = {k: v for k, v in vars(job_of(database, job_id)).items() if not k.startswith("_")}
    assert after == before
    assert event_types(database, job_id) == events
    with database.reading() as session:
        for table in (Metric, Checkpoint, Trial):
            assert session.scalar(select(func.count()).select_from(table)) == 0


def test_the_attempt_that_holds_the_row_does_write(database: Database, tmp_path: Path) -> None:
    job_id = new_row(database, Job)
    attempt = attempt_of(database, take(database, job_id), tmp_path)
    for write in (_record, _progress, _checkpoint, _read, _publish):
        with attempt.writing() as session:
            write(attempt, session)
    job = job_of(database, job_id)
    assert (job.state, job.iteration, job.progress) == ("succeeded", 99, {"iteration": 99})
    assert event_types(database, job_id)[2:] == ["note", "progress", "checkpoint", "succeeded"]


def test_progress_tells_of_a_cancel(database: Database, tmp_path: Path) -> None:
    job_id = new_row(database, Job)
    attempt = attempt_of(database, take(database, job_id), tmp_path)
    with attempt.writing() as session:
        attempt.progress(session, {})
    assert not attempt.asked_to_stop
    with database.writing() as session:
        move(session, Job, job_id, "cancelling")
    with attempt.writing() as session:
        attempt.progress(session, {})
    assert attempt.asked_to_stop
