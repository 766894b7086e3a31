"""Who is next: priorities, turns of the owners, limits, and rows that have to wait before a retry."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from core.db.models import Dataset, Job, Trial
from core.db.session import Database
from core.db.types import db_now
from core.vocabulary import PRIORITIES
from core.work.leases import Lease, claim_next
from core.work.scheduling import next_row
from core.work.transitions import Leased, move
from tests.support.leased import WORKER, add_dataset, add_job, job_of, new_row, take, waiting_trial

MANY = 1000


def claim_one(database: Database, queue: str = "gpu", *, limit: int = MANY) -> Lease | None:
    with database.writing() as session:
        return claim_next(session, queue, worker=WORKER, seconds=60, running_limit=limit)


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
def test_before_a_retry_a_row_waits_its_time(database: Database, model: Leased) -> None:
    with database.writing() as session:
        add = add_job if model is Job else add_dataset
        early = add(session, retry_at=db_now(60)).id
        due = add(session, retry_at=db_now(-1)).id
    queue = "gpu" if model is Job else "cpu"
    lease = claim_one(database, queue)
    assert lease is not None and lease.row_id == due != early
    assert claim_one(database, queue) is None
    if model is Job:
        assert job_of(database, due).retry_at is None


def test_a_job_waits_for_the_queue_that_serves_its_phase(database: Database) -> None:
    job_id = new_row(database, Job, phase="export")
    with database.reading() as session:
        assert next_row(session, "gpu", running_limit=MANY) is None
        assert next_row(session, "cpu", running_limit=MANY) == (Job, job_id)


def test_data_sets_take_turns_too(database: Database) -> None:
    first, second, other = (new_row(database, Dataset, owner=owner) for owner in ("ann", "ann", "bob"))
    with database.reading() as session:
        assert next_row(session, "gpu", running_limit=MANY) is None
    taken = [claim_one(database, "cpu") for _ in range(4)]
    assert [lease.row_id if lease else None for lease in taken] == [first, other, second, None]


def with_trials(
    database: Database, count: int, *, state: str = "running", **values: Any
) -> tuple[str, list[str]]:
    """A job in work whose trials wait for anybody; their ids in the order of their turns."""
    with database.writing() as session:
        job = add_job(session, phase="evaluate", **values)
        # Made in the reverse order of their turns.
        trials = [waiting_trial(job, repeat) for repeat in reversed(range(count))]
        session.add_all(trials)
    take(database, job.id)
    if state != "running":
        with database.writing() as session:
            assert move(session, Job, job.id, state)
    return job.id, [one.id for one in reversed(trials)]


def taken(database: Database, count: int, *, limit: int = MANY) -> list[str | None]:
    leases = [claim_one(database, limit=limit) for _ in range(count)]
    return [lease.row_id if lease else None for lease in leases]


def test_trials_go_in_their_order_before_another_job_of_the_same_owner(database: Database) -> None:
    _, trials = with_trials(database, 2)
    other = new_row(database, Job)
    assert taken(database, 4) == [*trials, other, None], "what was begun ends first"


def test_who_has_fewer_in_work_goes_before_trials_of_another(database: Database) -> None:
    """Trials in workers' hands count as jobs do."""
    _, trials = with_trials(database, 3, owner="ann")
    first, second, third = (new_row(database, Job, owner="bob") for _ in range(3))
    # ann has her job in work.
    assert taken(database, 6) == [first, trials[0], second, trials[1], third, trials[2]]


def test_a_more_urgent_job_goes_before_trials(database: Database) -> None:
    _, (trial,) = with_trials(database, 1, priority=PRIORITIES.index("normal"))
    low = new_row(database, Job, priority=PRIORITIES.index("low"))
    high = new_row(database, Job, priority=PRIORITIES.index("high"))
    assert taken(database, 3) == [high, trial, low]


def test_trials_count_against_the_limit_of_their_owner(database: Database) -> None:
    _, trials = with_trials(database, 3, owner="ann")
    assert taken(database, 2, limit=2) == [trials[0], None], "her job, and one trial beside it"
    other = new_row(database, Job, owner="bob")
    assert taken(database, 2, limit=2) == [other, None]
    with database.writing() as session:
        assert move(session, Trial, trials[0], "done")
    assert taken(database, 2, limit=2) == [trials[1], None]


@pytest.mark.parametrize("state", ["queued", "pausing", "paused", "cancelling", "cancelled"])
def test_trials_of_a_job_that_is_not_in_work_wait(database: Database, state: str) -> None:
    on_the_way = {"paused": "pausing", "cancelled": "cancelling"}.get(state)
    job_id, _ = with_trials(database, 1, state=on_the_way or state)
    if on_the_way is not None:
        with database.writing() as session:
            assert move(session, Job, job_id, state)
    assert taken(database, 1) == [job_id if state == "queued" else None]


def test_trials_are_no_work_for_a_worker_without_a_device(database: Database) -> None:
    with_trials(database, 1)
    assert claim_one(database, "cpu") is None


def test_a_trial_that_was_set_back_waits_its_time_and_others_go_on(database: Database) -> None:
    _, trials = with_trials(database, 3)
    with database.writing() as session:
        session.get_one(Trial, trials[0]).retry_at = db_now(60)
        session.get_one(Trial, trials[1]).problem = {"code": "worker_lost", "detail": "three times"}
    assert taken(database, 2) == [trials[2], None]


def test_racing_workers_take_each_trial_once(database: Database) -> None:
    _, trials = with_trials(database, 6)
    start = Barrier(4)

    def work(_: int) -> list[str | None]:
        start.wait()
        return taken(database, 2)

    with ThreadPoolExecutor(4) as pool:
        won = [row_id for found in pool.map(work, range(4)) for row_id in found]
    assert sorted(one for one in won if one) == sorted(trials)
    assert won.count(None) == 2
