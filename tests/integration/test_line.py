"""Who is next: priorities, turns of the owners, limits, and rows that have to wait after a setback."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from core.db.models import Dataset, Job
from core.db.session import Database
from core.db.types import db_now
from core.jobs.line import next_dataset, next_job, somebody_waits
from core.jobs.states import PHASES, PRIORITIES
from core.jobs.transitions import Leased, move
from tests.support.leased import WORKER, add_dataset, add_job, job_of, new_row
from worker.lease import Lease, claim_next

MANY = 1000


def claim_one(database: Database, model: Leased = Job, *, limit: int = MANY) -> Lease | None:
    with database.writing() as session:
        return claim_next(
            session, model, worker=WORKER, seconds=60, phases=tuple(PHASES), running_limit=limit
        )


def owners_in_order(database: Database, *, finish: bool = True) -> list[str]:
    """Whose jobs one worker takes, each ended before the next unless `finish` is off."""
    owners = []
    while lease := claim_one(database):
        owners.append(job_of(database, lease.row_id).owner)
        if finish:
            with database.writing() as session:
                move(session, Job, lease.row_id, "succeeded")
    return owners


def test_one_owner_s_jobs_go_in_order(database: Database) -> None:
    ids = [new_row(database, Job) for _ in range(3)]
    taken = [claim_one(database) for _ in ids]
    assert [lease.row_id for lease in taken if lease] == ids
    assert claim_one(database) is None


def test_owners_take_turns(database: Database) -> None:
    """However many jobs one of them queued before the others came."""
    for owner, count in (("ann", 5), ("bob", 2), ("cy", 1)):
        for _ in range(count):
            new_row(database, Job, owner=owner)
    assert owners_in_order(database) == ["ann", "bob", "cy", "ann", "bob", "ann", "ann", "ann"]


def test_who_has_fewer_in_work_goes_first(database: Database) -> None:
    for owner, count in (("ann", 4), ("bob", 2)):
        for _ in range(count):
            new_row(database, Job, owner=owner)
    assert owners_in_order(database, finish=False) == ["ann", "bob", "ann", "bob", "ann", "ann"]


def test_a_higher_priority_goes_first_whoever_s_it_is(database: Database) -> None:
    low, normal, high = (
        new_row(database, Job, owner=owner, priority=PRIORITIES.index(priority))
        for owner, priority in (("ann", "low"), ("ann", "normal"), ("bob", "high"))
    )
    taken = [claim_one(database) for _ in range(3)]
    assert [lease.row_id for lease in taken if lease] == [high, normal, low]


def test_an_owner_at_the_limit_is_passed_over(database: Database) -> None:
    first, second = (new_row(database, Job, owner="ann", priority=2) for _ in range(2))
    other = new_row(database, Job, owner="bob", priority=0)
    taken = [claim_one(database, limit=1) for _ in range(3)]
    assert [lease.row_id if lease else None for lease in taken] == [first, other, None]
    with database.writing() as session:
        move(session, Job, first, "pausing")  # still on the device
    assert claim_one(database, limit=1) is None
    with database.writing() as session:
        move(session, Job, first, "paused")
    lease = claim_one(database, limit=1)
    assert lease is not None and lease.row_id == second


def test_racing_workers_do_not_pass_the_limit(database: Database) -> None:
    for _ in range(20):
        new_row(database, Job)
    start = Barrier(6)

    def work(_: int) -> Lease | None:
        start.wait()
        return claim_one(database, limit=3)

    with ThreadPoolExecutor(6) as pool:
        won = [lease for lease in pool.map(work, range(6)) if lease]
    assert len(won) == len({lease.row_id for lease in won}) == 3


@pytest.mark.parametrize("model", [Job, Dataset])
def test_after_a_setback_a_row_waits_its_time(database: Database, model: Leased) -> None:
    with database.writing() as session:
        add = add_job if model is Job else add_dataset
        early = add(session, retry_at=db_now(60)).id
        due = add(session, retry_at=db_now(-1)).id
    lease = claim_one(database, model)
    assert lease is not None and lease.row_id == due != early
    assert claim_one(database, model) is None
    if model is Job:
        assert job_of(database, due).retry_at is None


def test_a_job_waits_for_the_queue_that_serves_its_phase(database: Database) -> None:
    job_id = new_row(database, Job, phase="export")
    with database.reading() as session:
        assert next_job(session, ("condense", "evaluate"), running_limit=MANY) is None
        assert next_job(session, ("export",), running_limit=MANY) == job_id
        assert not somebody_waits(session, "gpu", running_limit=MANY)
        assert somebody_waits(session, "cpu", running_limit=MANY)


def test_data_sets_take_turns_too(database: Database) -> None:
    first, _, other = (new_row(database, Dataset, owner=owner) for owner in ("ann", "ann", "bob"))
    taken = [claim_one(database, Dataset), claim_one(database, Dataset)]
    assert [lease.row_id for lease in taken if lease] == [first, other]
    with database.reading() as session:
        assert next_dataset(session) is not None
        assert somebody_waits(session, "cpu", running_limit=MANY)
        assert not somebody_waits(session, "gpu", running_limit=MANY)
