"""Who may work on a row: claims, heartbeats, fences, and the one clock that decides."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from core.db.models import Checkpoint, Dataset, Evaluation, Job, Metric
from core.db.session import Database
from core.db.types import db_now
from core.errors import LeaseLost
from core.jobs.transitions import Leased, held_by, move, require
from core.settings import Settings
from core.storage.local import LocalStorage
from tests.support.leased import (
    OWNER,
    WORKER,
    add_job,
    dataset_of,
    event_types,
    expire,
    job_of,
    new_row,
    take,
)
from worker.attempt import Attempt
from worker.lease import Heartbeat, Lease, claim

CONDENSE = ("condense", "evaluate")
LEASED = [pytest.param(Job, id="job"), pytest.param(Dataset, id="dataset")]


def try_claim(database: Database, model: Leased, row_id: str, fence: int = 0) -> Lease | None:
    with database.writing() as session:
        return claim(session, model, row_id, fence, worker=WORKER, seconds=60, phases=CONDENSE)


def attempt_of(database: Database, lease: Lease, folder: Path) -> Attempt:
    storage = LocalStorage(folder / "storage")
    return Attempt(lease=lease, settings=Settings(data_dir=folder), database=database, storage=storage)


def test_a_claim_takes_the_row(database: Database) -> None:
    job_id = new_row(database, Job)
    lease = try_claim(database, Job, job_id)
    assert lease == Lease(model=Job, row_id=job_id, fence=1)
    job = job_of(database, job_id)
    assert (job.state, job.fence, job.worker, job.setbacks) == ("running", 1, WORKER, {})
    assert job.started_at is not None and job.lease_until is not None
    assert timedelta(seconds=55) < job.lease_until - job.started_at < timedelta(seconds=61)
    assert event_types(database, job_id) == ["queued", "running"]


def test_a_later_claim_keeps_the_first_start(database: Database) -> None:
    job_id = new_row(database, Job)
    take(database, job_id)
    started = job_of(database, job_id).started_at
    with database.writing() as session:
        move(session, Job, job_id, "queued")
    assert take(database, job_id).fence == 2
    assert job_of(database, job_id).started_at == started


def test_a_data_set_is_claimed_in_its_state(database: Database) -> None:
    dataset_id = new_row(database, Dataset)
    lease = try_claim(database, Dataset, dataset_id)
    assert lease == Lease(model=Dataset, row_id=dataset_id, fence=1)
    assert dataset_of(database, dataset_id).state == "ingesting"
    assert event_types(database, dataset_id) == ["ingesting", "claimed"]
    assert try_claim(database, Dataset, dataset_id) is None
    assert try_claim(database, Dataset, dataset_id, fence=1) is None


@pytest.mark.parametrize("state", ["ready", "invalid", "receiving"])
def test_a_data_set_that_does_not_wait_is_not_claimed(database: Database, state: str) -> None:
    dataset_id = new_row(database, Dataset, state=state)
    assert try_claim(database, Dataset, dataset_id) is None


@pytest.mark.parametrize("state", ["paused", "cancelled", "succeeded", "failed"])
def test_a_job_that_does_not_wait_is_not_claimed(database: Database, state: str) -> None:
    job_id = new_row(database, Job, state=state)
    assert try_claim(database, Job, job_id) is None
    assert event_types(database, job_id) == [state]


def test_old_and_doubled_messages_claim_nothing(database: Database) -> None:
    job_id = new_row(database, Job)
    take(database, job_id)
    assert try_claim(database, Job, job_id, fence=0) is None  # doubled
    assert try_claim(database, Job, job_id, fence=1) is None  # forged, but the row is held
    with database.writing() as session:
        move(session, Job, job_id, "queued")
    assert try_claim(database, Job, job_id, fence=0) is None  # late: it waits again, under a newer fence
    assert try_claim(database, Job, "job_unknown") is None
    assert job_of(database, job_id).fence == 1
    assert take(database, job_id).fence == 2


def test_a_task_claims_only_the_phases_that_it_serves(database: Database) -> None:
    job_id = new_row(database, Job, phase="export")
    assert try_claim(database, Job, job_id) is None
    with database.writing() as session:
        assert claim(session, Job, job_id, 0, worker=WORKER, seconds=60, phases=("export",))


def test_racing_claims_have_exactly_one_winner_a_row(database: Database) -> None:
    """Eight workers that are all woken for each of 200 rows at once."""
    threads, count = 8, 200
    with database.writing() as session:
        rows = [add_job(session).id for _ in range(count)]
    start = threading.Barrier(threads)

    def work(_: int) -> list[str]:
        start.wait()
        return [row for row in rows if try_claim(database, Job, row)]

    with ThreadPoolExecutor(threads) as pool:
        wins = list(pool.map(work, range(threads)))
    assert sorted(row for won in wins for row in won) == sorted(rows)
    with database.reading() as session:
        fences = session.scalars(select(Job.fence)).all()
    assert fences == [1] * count
    assert {tuple(event_types(database, row)) for row in rows[:: count // 10]} == {("queued", "running")}


@pytest.mark.parametrize("model", LEASED)
def test_a_heartbeat_renews(database: Database, model: Leased) -> None:
    row_id = new_row(database, model)
    lease = take(database, row_id, model, seconds=5)
    with database.writing() as session:
        expire(session, model, row_id)  # late, but nobody has taken the row yet
    with database.writing() as session:
        state, events = Heartbeat(lease, 60).renew(session) or ("", 0)
    assert (state, events) == ("running" if model is Job else "ingesting", 2)
    with database.reading() as session:
        left = select(model.id).where(model.id == row_id, model.lease_until > db_now(50))
        assert session.scalar(left) == row_id
    assert len(event_types(database, row_id)) == 2, "a heartbeat is no event"


def test_a_heartbeat_brings_the_request_to_cancel(database: Database) -> None:
    job_id = new_row(database, Job)
    lease = take(database, job_id)
    with database.writing() as session:
        move(session, Job, job_id, "cancelling")
    with database.writing() as session:
        assert Heartbeat(lease, 60).renew(session) == ("cancelling", 3)


@pytest.mark.parametrize("model", LEASED)
def test_a_heartbeat_of_a_fenced_attempt_renews_nothing(database: Database, model: Leased) -> None:
    row_id = new_row(database, model)
    old = take(database, row_id, model)
    with database.writing() as session:
        session.execute(update(model).where(model.id == row_id).values(lease_until=None))
        if model is Job:
            session.execute(update(Job).where(Job.id == row_id).values(state="queued"))
    with database.writing() as session:
        assert Heartbeat(old, 60).renew(session) is None, "nobody holds the row"
    take(database, row_id, model, seconds=5)
    with database.writing() as session:
        assert Heartbeat(old, 3600).renew(session) is None, "another attempt holds the row"
    with database.reading() as session:
        assert session.scalar(select(model.id).where(model.id == row_id, model.lease_until < db_now(10)))


def test_an_attempt_is_overdue_by_its_own_monotonic_clock(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two thirds of the lease without a renewal, whatever the wall clocks say."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    job_id = new_row(database, Job)
    heartbeat = Heartbeat(take(database, job_id), 60)
    now += 39
    assert not heartbeat.overdue
    now += 2
    assert heartbeat.overdue
    with database.writing() as session:
        assert heartbeat.renew(session)
    assert not heartbeat.overdue
    with database.writing() as session:
        move(session, Job, job_id, "failed")
    now += 41
    with database.writing() as session:
        assert heartbeat.renew(session) is None
    assert heartbeat.overdue, "a renewal that failed renews nothing"


def test_a_renewal_whose_commit_is_lost_renews_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    heartbeat = Heartbeat(take(database, new_row(database, Job)), 60)
    now += 41
    with suppress(ConnectionError), database.writing() as session:
        assert heartbeat.renew(session)
        raise ConnectionError
    assert heartbeat.overdue


def _record(attempt: Attempt, session: Session) -> None:
    attempt.record(session, "note", {}, iteration=99)


def _progress(attempt: Attempt, session: Session) -> None:
    attempt.progress(session, {"iteration": 99}, iteration=99)
    row = {"job_id": attempt.lease.row_id, "owner": OWNER, "fence": attempt.lease.fence}
    session.add(Metric(**row, iteration=99, loss=1.0, seconds=1.0))


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
        for table in (Metric, Checkpoint, Evaluation):
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
    assert not attempt.told_to_stop
    with database.writing() as session:
        move(session, Job, job_id, "cancelling")
    with attempt.writing() as session:
        attempt.progress(session, {})
    assert attempt.told_to_stop


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
