"""What the reaper puts right, and what it leaves alone."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select, update

from core.db.models import Checkpoint, Dataset, Job
from core.db.session import Database
from core.db.types import db_now
from core.settings import Settings
from core.storage.local import LocalStorage
from core.work.files import checkpoint_key
from core.work.leases import Heartbeat
from core.work.reaper import WAKE_AT_ONCE, Reaped, reap, release
from core.work.retries import RETRY_POLICIES
from core.work.transitions import Leased, find, move
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
    take,
)
from tests.support.reaping import LONG_AGO, reap_once

LEASED = [pytest.param(Job, id="job"), pytest.param(Dataset, id="dataset")]


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
def test_an_expired_lease_goes_back_and_is_woken_for_in_the_same_pass(
    database: Database, settings: Settings, storage: LocalStorage, model: Leased
) -> None:
    row_id = dead(database, model)
    assert reap_once(database, storage, settings) == Reaped(requeued=1, woken=1)
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
    assert reap_once(database, storage, settings) == Reaped()
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
        reaped = reap_once(database, storage, settings)
        assert (reaped.requeued, reaped.failed) == ((0, 1) if attempt == settings.max_attempts else (1, 0))
    row = row_of(database, model, row_id)
    assert row.state == ("failed" if model is Job else "invalid")
    assert row.finished_at is not None and row.lease_until is None
    assert row.problem is not None and row.problem["code"] == "worker_lost"
    assert "3 attempts in a row ended without progress" in row.problem["detail"]
    assert "host:1 fell silent" in row.problem["detail"]
    assert events_of(database, row_id)[-1].data == row.problem
    assert reap_once(database, storage, settings) == Reaped()


def test_each_cause_has_a_retry_policy_of_its_own(
    database: Database, settings: Settings, storage: LocalStorage
) -> None:
    """A full disk is waited for, ever longer, and takes nothing of the retries after lost workers."""
    row_id = new_row(database, Job)
    waits: list[float] = []
    for _ in range(RETRY_POLICIES["storage_full"].attempts or 0):
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
    assert reap_once(database, storage, settings) == Reaped(paused=1)
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
    assert reap_once(database, storage, settings) == Reaped(cancelled=1)
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
    assert reap_once(database, storage, settings) == Reaped(woken=3)
    assert job_of(database, fresh.id).dispatched_at == before
    with database.reading() as session:
        recent = Job.dispatched_at > db_now(-5)
        assert set(session.scalars(select(Job.id).where(recent))) == {stale.id, never.id}
        assert session.scalar(select(Dataset.id).where(Dataset.dispatched_at > db_now(-5))) == dataset.id
    assert reap_once(database, storage, settings) == Reaped(), "idempotent"
    assert event_types(database, stale.id) == ["queued"], "a wake-up is no event"


def test_workers_are_woken_only_for_the_first_in_claim_order(
    database: Database, settings: Settings, storage: LocalStorage
) -> None:
    with database.writing() as session:
        waiting = [add_job(session).id for _ in range(WAKE_AT_ONCE + 5)]
    assert reap_once(database, storage, settings) == Reaped(woken=WAKE_AT_ONCE)
    assert reap_once(database, storage, settings) == Reaped()
    with database.reading() as session:
        woken = session.scalars(select(Job.id).where(Job.dispatched_at.is_not(None))).all()
    assert sorted(woken) == waiting[:WAKE_AT_ONCE]
    take(database, waiting[0])
    assert reap_once(database, storage, settings) == Reaped(woken=1), "the next moves up"
    with database.writing() as session:
        session.execute(update(Job).where(Job.id.in_(waiting[:WAKE_AT_ONCE])).values(dispatched_at=LONG_AGO))
    assert reap_once(database, storage, settings) == Reaped(woken=WAKE_AT_ONCE - 1)


def test_two_reapers_at_once_put_each_row_right_once(
    database: Database, settings: Settings, storage: LocalStorage
) -> None:
    rows = [dead(database, model) for model in (Job, Dataset) for _ in range(10)]
    with ThreadPoolExecutor(4) as pool:
        reaped = list(pool.map(lambda _: reap_once(database, storage, settings), range(4)))
    assert sum(one.requeued for one in reaped) == len(rows)
    for row_id in rows:
        model = Job if row_id.startswith("job") else Dataset
        assert row_of(database, model, row_id).setbacks == {"worker_lost": 1}
        assert len(event_types(database, row_id)) == 3
