"""Trials that are given back, or lost to another worker: nothing is counted of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from core.db.models import Job, Snapshot, Trial
from core.db.session import Database
from core.errors import LeaseLost
from core.jobs.control import cancel_job, pause_job
from core.trials import rows as trial_rows
from core.trials.training import steps_of_trial
from core.work.files import checkpoints_of
from core.work.reaper import reap
from core.work.transitions import move
from tests.support.condensed import torch_as_it_was
from tests.support.leased import event_types, events_of, expire, take
from tests.support.trials import WANTED, another_worker, found_in, in_evaluation, rows_of, trial_of
from tests.support.workplace import Workplace, workplace
from worker import phases, runner, trial
from worker.work import JobWork


@pytest.fixture
def place(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workplace]:
    with workplace(database, database_url, tmp_path / "data", monkeypatch) as made, torch_as_it_was():
        yield made


@pytest.mark.parametrize("asked", ["pause", "cancel", "nothing: the worker is stopped"])
def test_a_trial_goes_back_when_its_job_or_its_worker_is_stopped(place: Workplace, asked: str) -> None:
    job_id = in_evaluation(place).lease.row_id
    attempt = another_worker(place)
    with place.database.writing() as session:
        job = session.get_one(Job, job_id)
        if asked == "pause":
            pause_job(session, job)
        elif asked == "cancel":
            cancel_job(session, place.storage, job)
        else:
            attempt._asked_to_stop = True
    runner._run(attempt)
    row = trial_of(place, attempt)
    assert (row.state, row.lease_until, row.worker, row.setbacks) == ("waiting", None, None, {})
    assert (row.accuracy, row.problem) == (None, None)
    assert "evaluated" not in event_types(place.database, job_id)


@pytest.mark.parametrize("fate", ["waits", "done by another", "taken by the job's own attempt", "deleted"])
def test_who_has_lost_a_trial_counts_nothing(place: Workplace, fate: str) -> None:
    own = in_evaluation(place)
    job_id = own.lease.row_id
    stale = another_worker(place)
    with place.database.writing() as session:
        expire(session, Trial, stale.lease.row_id)
        assert reap(session, place.storage, place.settings).requeued == 1
        if fate == "taken by the job's own attempt":
            assert trial_rows.take_for_job(session, stale.lease.row_id, own.lease.fence)
        elif fate == "deleted":
            session.execute(delete(Trial).where(Trial.id == stale.lease.row_id))
    if fate == "done by another":
        trial.run(another_worker(place))
    before = rows_of(place, job_id)
    events = event_types(place.database, job_id)
    with pytest.raises(LeaseLost):
        trial.run(stale)
    after = rows_of(place, job_id)
    assert {key: (one.state, one.fence, one.accuracy, one.event_seq) for key, one in after.items()} == {
        key: (one.state, one.fence, one.accuracy, one.event_seq) for key, one in before.items()
    }
    assert event_types(place.database, job_id) == events
    if fate == "done by another":
        assert events.count("evaluated") == 1


def test_the_lease_that_is_lost_while_it_trains_counts_nothing(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = in_evaluation(place).lease.row_id
    stale = another_worker(place)

    def lost_at_its_end(*given: Any) -> Any:
        score = yield from steps_of_trial(*given)
        with place.database.writing() as session:
            expire(session, Trial, stale.lease.row_id)
            reap(session, place.storage, place.settings)
        assert another_worker(place).lease.row_id == stale.lease.row_id
        return score

    monkeypatch.setattr(trial, "steps_of_trial", lost_at_its_end)
    events = event_types(place.database, job_id)
    with pytest.raises(LeaseLost):
        trial.run(stale)
    row = trial_of(place, stale)
    assert (row.state, row.fence, row.worker, row.accuracy) == ("running", 2, "host:2", None)
    assert event_types(place.database, job_id) == events


def test_an_attempt_that_has_lost_the_job_takes_no_trial_of_it(place: Workplace) -> None:
    """It would keep it for ever: whoever has the job now gives back only what was taken before."""
    stale = in_evaluation(place)
    with stale.database.reading() as session:
        work = JobWork(stale, stale.job(session), canonical=None)  # type: ignore[arg-type]
    first = min(rows_of(place, stale.lease.row_id).values(), key=lambda one: one.position)
    with place.database.writing() as session:
        assert move(session, Job, stale.lease.row_id, "queued")
    take(place.database, stale.lease.row_id)
    with pytest.raises(LeaseLost):
        work.take_trial(first.id)
    assert rows_of(place, stale.lease.row_id)[first.method, first.network, first.repeat].state == "waiting"


def test_a_trial_of_images_that_turn_out_damaged_counts_nothing(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job goes back to make them anew; a worker that began with the old ones has lost its trial."""
    evaluation = WANTED["evaluation"] | {"points": 1}  # with a checkpoint of its own
    own = in_evaluation(place, iterations=4, evaluation=evaluation)
    job_id = own.lease.row_id
    stale = another_worker(place)
    assert trial_of(place, stale).method == "condensed"
    with place.database.writing() as session:
        newest, earlier = checkpoints_of(session, session.get_one(Job, job_id))
        assert newest.iteration == 4 > earlier.iteration
    place.path(newest.blob_key).write_bytes(b"damaged")
    phases.run(own)
    assert "checkpoint_damaged" in event_types(place.database, job_id)
    assert [one.data["phase"] for one in events_of(place.database, job_id) if one.type == "phase"][-2:] == [
        "condense", "evaluate",
    ]  # fmt: skip
    with place.database.reading() as session:
        shown = session.scalars(select(Snapshot.blob_key).where(Snapshot.job_id == job_id)).all()
    assert set(shown) <= set(place.blobs_of(job_id)), "its own pictures of before are not deleted"
    expected = found_in(place, job_id)
    with pytest.raises(LeaseLost):
        trial.run(stale)
    assert found_in(place, job_id) == expected
