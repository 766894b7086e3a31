"""What the reaper puts right of trials."""

from typing import Any

from sqlalchemy import update

from core.db.models import Job, Trial
from core.db.session import Database
from core.settings import Settings
from core.storage.local import LocalStorage
from core.trials.rows import take_for_job
from core.work.leases import claim_next
from core.work.reaper import Reaped
from core.work.transitions import move
from tests.support.leased import (
    event_types,
    expire,
    job_of,
    new_row,
    take,
    waiting_trial,
)
from tests.support.reaping import LONG_AGO, reap_once


def trial_of_a_running_job(database: Database, **values: Any) -> tuple[str, str]:
    """The job's id, and that of its trial, which waits for anybody."""
    job_id = new_row(database, Job, phase="evaluate")
    take(database, job_id)
    with database.writing() as session:
        trial = waiting_trial(session.get_one(Job, job_id), **values)
        session.add(trial)
    return job_id, trial.id


def trial_row(database: Database, trial_id: str) -> Trial:
    with database.reading() as session:
        return session.get_one(Trial, trial_id)


def test_a_trial_whose_worker_fell_silent_waits_again_and_is_woken_for(
    database: Database, settings: Settings, storage: LocalStorage
) -> None:
    job_id, trial_id = trial_of_a_running_job(database, dispatched_at=LONG_AGO)
    take(database, trial_id, Trial)
    with database.writing() as session:
        expire(session, Trial, trial_id)
    assert reap_once(database, storage, settings) == Reaped(requeued=1, woken=1)
    row = trial_row(database, trial_id)
    assert (row.state, row.setbacks, row.fence, row.lease_until) == ("waiting", {"worker_lost": 1}, 1, None)
    assert row.dispatched_at is not None and row.dispatched_at > LONG_AGO
    assert event_types(database, job_id) == ["queued", "running"], "nothing has happened to the job"
    assert take(database, trial_id, Trial).fence == 2


def test_a_trial_that_its_jobs_own_attempt_has_in_hand_is_left_alone(
    database: Database, settings: Settings, storage: LocalStorage
) -> None:
    """Its lease is the job's."""
    _, trial_id = trial_of_a_running_job(database)
    with database.writing() as session:
        assert take_for_job(session, trial_id, 1)
    assert reap_once(database, storage, settings) == Reaped()
    assert trial_row(database, trial_id).state == "running"


def test_a_trial_that_kills_its_workers_is_left_to_an_attempt_at_its_job(
    database: Database, settings: Settings, storage: LocalStorage
) -> None:
    """Which meets the same, and says why: by a trial alone no job fails."""
    job_id, trial_id = trial_of_a_running_job(database)
    for attempt in range(1, settings.max_attempts + 1):
        with database.writing() as session:
            lease = claim_next(session, "gpu", worker="host:2", seconds=60, running_limit=9)
        assert lease is not None and (lease.row_id, lease.fence) == (trial_id, attempt)
        with database.writing() as session:
            expire(session, Trial, trial_id)
        reap_once(database, storage, settings)
    row = trial_row(database, trial_id)
    assert (row.state, row.lease_until, row.setbacks) == ("waiting", None, {"worker_lost": 3})
    assert row.problem is not None and row.problem["code"] == "worker_lost"
    with database.writing() as session:
        assert claim_next(session, "gpu", worker="host:2", seconds=60, running_limit=9) is None
    assert reap_once(database, storage, settings) == Reaped(), "nobody is woken for it"
    assert job_of(database, job_id).state == "running"
    with database.writing() as session:
        assert take_for_job(session, trial_id, 1)


def test_trials_of_a_job_that_is_paused_wake_nobody(
    database: Database, settings: Settings, storage: LocalStorage
) -> None:
    job_id, _ = trial_of_a_running_job(database)
    assert reap_once(database, storage, settings).woken == 1
    with database.writing() as session:
        move(session, Job, job_id, "pausing")
        move(session, Job, job_id, "paused")
        session.execute(update(Trial).values(dispatched_at=None))
    assert reap_once(database, storage, settings) == Reaped()
