"""What the reaper puts right, and what it leaves alone."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from core.db.models import Checkpoint, Dataset, Job
from core.db.session import Database
from core.db.types import db_now
from core.jobs.files import checkpoint_key
from core.jobs.reaper import RING_AT_ONCE, Reaped, reap, release
from core.jobs.setbacks import PATIENCE
from core.jobs.transitions import Leased, find, move
from core.settings import Settings
from core.storage.local import LocalStorage
from tests.support.leased import (
    OWNER,
    add_dataset,
    add_job,
    dataset_of,
    event_types,
    events_of,
    expire,
    job_of,
    new_row,
    process_settings,
    take,
)
from worker.lease import Heartbeat

LEASED = [pytest.param(Job, id="job"), pytest.param(Dataset, id="dataset")]
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    with process_settings(monkeypatch, data_dir=tmp_path / "data") as made:
        yield made


@pytest.fixture
def storage(settings: Settings) -> LocalStorage:
    return LocalStorage(settings.data_dir)


def sweep(database: Database, storage: LocalStorage, settings: Settings) -> Reaped:
    with database.writing() as session:
        return reap(session, storage, settings)


def row_of(database: Database, model: Leased, row_id: str) -> Job | Dataset:
    return job_of(database, row_id) if model is Job else dataset_of(database, row_id)


def dead(database: Database, model: Leased, **values: Any) -> str:
    """A row whose worker fell silent."""
    row_id = new_row(database, model, dispatched_at=LONG_AGO, **values)
    take(database, row_id, model)
    with database.writing() as session:
        expire(session, model, row_id)
    return row_id


def put_blob(storage: LocalStorage, key: str) -> None:
    with storage.scratch() as folder:
        (folder / "blob").write_bytes(b"bytes")
        storage.put(key, folder / "blob")


def write_checkpoint(database: Database, storage: LocalStorage, job_id: str) -> None:
    key = checkpoint_key(job_id, 1, 5)
    put_blob(storage, key)
    with database.writing() as session:
        row = {"job_id": job_id, "owner": OWNER, "fence": 1, "iteration": 5}
        session.add(Checkpoint(**row, blob_key=key, size=5, sha256="0" * 64))


@pytest.mark.parametrize("model", LEASED)
def test_an_expired_lease_goes_back_and_is_rung_in_the_same_sweep(
    database: Database, settings: Settings, storage: LocalStorage, model: Leased
) -> None:
    row_id = dead(database, model)
    assert sweep(database, storage, settings) == Reaped(requeued=1, rung=1)
    row = row_of(database, model, row_id)
    assert row.state == ("queued" if model is Job else "ingesting")
    assert (row.setbacks, row.fence, row.lease_until, row.worker) == ({"worker_lost": 1}, 1, None, None)
    assert row.dispatched_at is not None and row.dispatched_at > LONG_AGO
    last = events_of(database, row_id)[-1]
    assert last.type == ("queued" if model is Job else "requeued")
    assert "host:1 fell silent" in last.data["reason"]
    assert take(database, row_id, model).fence == 2


@pytest.mark.parametrize("model", LEASED)
def test_a_live_lease_is_left_alone(
    database: Database, settings: Settings, storage: LocalStorage, model: Leased
) -> None:
    row_id = new_row(database, model)
    take(database, row_id, model, seconds=5)
    assert sweep(database, storage, settings) == Reaped()
    assert len(event_types(database, row_id)) == 2


@pytest.mark.parametrize("model", LEASED)
def test_a_lease_renewed_after_the_reaper_looked_is_left_alone(
    database: Database, settings: Settings, storage: LocalStorage, model: Leased
) -> None:
    """The reaper reads, the worker wakes up and renews, the reaper writes: the worker keeps the row."""
    row_id = new_row(database, model)
    lease = take(database, row_id, model)
    with database.writing() as session:
        expire(session, model, row_id)
    with database.reading() as session:
        seen = find(session, model, row_id)
        assert seen is not None
    with database.writing() as session:
        assert Heartbeat(lease, 60).renew(session)
    with database.writing() as session:
        assert release(session, storage, seen, settings, "worker_lost", "too late") is None
    assert row_of(database, model, row_id).worker == "host:1"
    assert len(event_types(database, row_id)) == 2


@pytest.mark.parametrize("model", LEASED)
def test_a_row_that_kills_its_workers_fails(
    database: Database, settings: Settings, storage: LocalStorage, model: Leased
) -> None:
    row_id = new_row(database, model)
    for attempt in range(1, settings.max_attempts + 1):
        assert take(database, row_id, model).fence == attempt
        with database.writing() as session:
            expire(session, model, row_id)
        reaped = sweep(database, storage, settings)
        assert (reaped.requeued, reaped.failed) == ((0, 1) if attempt == settings.max_attempts else (1, 0))
    row = row_of(database, model, row_id)
    assert row.state == ("failed" if model is Job else "invalid")
    assert row.finished_at is not None and row.lease_until is None
    assert row.problem is not None and row.problem["code"] == "worker_lost"
    assert "3 attempts in a row ended without progress" in row.problem["detail"]
    assert "host:1 fell silent" in row.problem["detail"]
    assert events_of(database, row_id)[-1].data == row.problem
    assert sweep(database, storage, settings) == Reaped()


def test_each_cause_has_a_patience_of_its_own(
    database: Database, settings: Settings, storage: LocalStorage
) -> None:
    """A full disk is waited for, ever longer, and takes nothing of the patience with lost workers."""
    row_id = new_row(database, Job)
    waits: list[float] = []
    for _ in range(PATIENCE["storage_full"].attempts or 0):
        take(database, row_id)
        with database.writing() as session:
            outcome = release(
                session, storage, session.get_one(Job, row_id), settings, "storage_full", "full"
            )
        if outcome == "queued":
            waits.append(events_of(database, row_id)[-1].data["wait_seconds"])
    assert waits == [15.0, 30.0, 60.0, 120.0, 240.0, 480.0, *[600.0] * 5]
    job = job_of(database, row_id)
    assert (job.state, job.setbacks) == ("failed", {"storage_full": 12})
    assert job.problem is not None and job.problem["code"] == "storage_full"


def test_a_dead_attempt_of_a_job_that_was_to_pause_is_paused(
    database: Database, settings: Settings, storage: LocalStorage
) -> None:
    row_id = dead(database, Job)
    with database.writing() as session:
        move(session, Job, row_id, "pausing")
    assert sweep(database, storage, settings) == Reaped(paused=1)
    job = job_of(database, row_id)
    assert (job.state, job.lease_until, job.setbacks) == ("paused", None, {"worker_lost": 1})


@pytest.mark.parametrize("setbacks", [0, 2])
def test_a_dead_attempt_of_a_cancelled_job_leaves_nothing(
    database: Database, settings: Settings, storage: LocalStorage, setbacks: int
) -> None:
    row_id = dead(database, Job, setbacks={"worker_lost": setbacks})
    other = new_row(database, Job, state="paused")
    for job_id in (row_id, other):
        write_checkpoint(database, storage, job_id)
    with database.writing() as session:
        move(session, Job, row_id, "cancelling")
    assert sweep(database, storage, settings) == Reaped(cancelled=1)
    job = job_of(database, row_id)
    assert (job.state, job.problem, job.lease_until) == ("cancelled", None, None)
    assert list(storage.keys(f"jobs/{row_id}")) == []
    assert list(storage.keys()) == [checkpoint_key(other, 1, 5)], "only its own"
    with database.reading() as session:
        assert session.scalars(select(Checkpoint.job_id)).all() == [other]


def test_a_rolled_back_sweep_deletes_no_blob(
    database: Database, settings: Settings, storage: LocalStorage
) -> None:
    row_id = dead(database, Job)
    write_checkpoint(database, storage, row_id)
    with database.writing() as session:
        move(session, Job, row_id, "cancelling")
    with pytest.raises(RuntimeError), database.writing() as session:
        assert reap(session, storage, settings).cancelled == 1
        raise RuntimeError
    assert list(storage.keys()) == [checkpoint_key(row_id, 1, 5)]
    assert job_of(database, row_id).state == "cancelling"


def test_only_stale_wake_ups_are_sent_again(
    database: Database, settings: Settings, storage: LocalStorage
) -> None:
    with database.writing() as session:
        fresh = add_job(session, dispatched_at=db_now(-settings.redispatch_seconds + 10))
        stale = add_job(session, dispatched_at=db_now(-settings.redispatch_seconds - 1))
        never = add_job(session)
        dataset = add_dataset(session)
        for state in ("paused", "succeeded", "failed", "cancelled"):
            add_job(session, state=state)
        add_dataset(session, state="ready")
    before = job_of(database, fresh.id).dispatched_at
    assert sweep(database, storage, settings) == Reaped(rung=3)
    assert job_of(database, fresh.id).dispatched_at == before
    with database.reading() as session:
        recent = Job.dispatched_at > db_now(-5)
        assert set(session.scalars(select(Job.id).where(recent))) == {stale.id, never.id}
        assert session.scalar(select(Dataset.id).where(Dataset.dispatched_at > db_now(-5))) == dataset.id
    assert sweep(database, storage, settings) == Reaped(), "idempotent"
    assert event_types(database, stale.id) == ["queued"], "a wake-up is no event"


def test_only_the_head_of_the_line_is_rung(
    database: Database, settings: Settings, storage: LocalStorage
) -> None:
    with database.writing() as session:
        line = [add_job(session).id for _ in range(RING_AT_ONCE + 5)]
    assert sweep(database, storage, settings) == Reaped(rung=RING_AT_ONCE)
    assert sweep(database, storage, settings) == Reaped()
    with database.reading() as session:
        rung = session.scalars(select(Job.id).where(Job.dispatched_at.is_not(None))).all()
    assert sorted(rung) == line[:RING_AT_ONCE]
    take(database, line[0])
    assert sweep(database, storage, settings) == Reaped(rung=1), "the next moves up"
    with database.writing() as session:
        session.execute(update(Job).where(Job.id.in_(line[:RING_AT_ONCE])).values(dispatched_at=LONG_AGO))
    assert sweep(database, storage, settings) == Reaped(rung=RING_AT_ONCE - 1)


def test_two_reapers_at_once_put_each_row_right_once(
    database: Database, settings: Settings, storage: LocalStorage
) -> None:
    rows = [dead(database, model) for model in (Job, Dataset) for _ in range(10)]
    with ThreadPoolExecutor(4) as pool:
        reaped = list(pool.map(lambda _: sweep(database, storage, settings), range(4)))
    assert sum(one.requeued for one in reaped) == len(rows)
    for row_id in rows:
        model = Job if row_id.startswith("job") else Dataset
        assert row_of(database, model, row_id).setbacks == {"worker_lost": 1}
        assert len(event_types(database, row_id)) == 3
