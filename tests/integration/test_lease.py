"""Who may work on a row: claims and heartbeats."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError

from core.db import session as session_module
from core.db.locks import serialise
from core.db.models import Dataset, Job
from core.db.session import Database, is_unavailable
from core.db.types import db_now
from core.work.leases import Heartbeat, Lease, claim
from core.work.transitions import Leased, move
from tests.support.leased import (
    WORKER,
    add_job,
    dataset_of,
    event_types,
    expire,
    job_of,
    new_row,
    take,
)

LEASED = [pytest.param(Job, id="job"), pytest.param(Dataset, id="dataset")]


def try_claim(database: Database, model: Leased, row_id: str, fence: int = 0) -> Lease | None:
    with database.writing() as session:
        return claim(session, model, row_id, fence, worker=WORKER, seconds=60, queue="gpu")


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


def test_a_worker_claims_only_what_its_queue_serves(database: Database) -> None:
    job_id = new_row(database, Job, phase="export")
    assert try_claim(database, Job, job_id) is None
    with database.writing() as session:
        assert claim(session, Job, job_id, 0, worker=WORKER, seconds=60, queue="cpu")


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


@pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)
def test_who_is_frozen_in_the_middle_of_a_claim_stops_nobody_for_long(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "IDLE_TRANSACTION_MS", 200)
    frozen, other = Database(database_url), Database(database_url)
    others_turn = False
    try:
        with pytest.raises(DBAPIError) as caught, frozen.writing() as session:
            serialise(session, "claims of gpu")
            with other.writing() as meanwhile:
                serialise(meanwhile, "claims of gpu")
                others_turn = True
            session.execute(select(Job.id))
        assert others_turn
        assert is_unavailable(caught.value), "as if the database had been away"
    finally:
        frozen.engine.dispose()
        other.engine.dispose()
