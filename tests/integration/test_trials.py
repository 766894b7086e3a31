"""Trials in the hands of several workers: each is counted once, and nobody can tell who did it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.db.models import Job, Trial
from core.db.session import Database
from core.kinds import evaluating
from core.trials.training import steps_of_trial
from core.work.reaper import reap
from tests.support.condensed import next_attempt, torch_as_it_was
from tests.support.leased import events_of, expire, job_of
from tests.support.trials import WANTED, Key, another_worker, found_in, rows_of, trial_of
from tests.support.workplace import Workplace, workplace
from worker import phases, runner, trial

OWN = "convnet-d2-w4-instance"
BY_FEATURES: dict[str, Any] = {
    **WANTED,
    "evaluation": {**WANTED["evaluation"], "baselines": ["herding", "k-center"]},
}


@pytest.fixture
def place(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workplace]:
    with workplace(database, database_url, tmp_path / "data", monkeypatch) as made, torch_as_it_was():
        yield made


def while_it_trains(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], *, method: str = "condensed"
) -> None:
    """Once, after the first step of the first network of this method that the attempt at the job trains."""
    done: list[str] = []

    def watched(*given: Any) -> Any:
        training = steps_of_trial(*given)
        if given[1].method == method and not done:
            done.append(method)
            yield next(training)
            act()
        return (yield from training)

    monkeypatch.setattr(evaluating, "steps_of_trial", watched)


def run(place: Workplace, job_id: str) -> None:
    phases.run(next_attempt(place.database, place.storage, place.settings, job_id))


def counted(place: Workplace, job_id: str) -> list[Key]:
    events = [one.data for one in events_of(place.database, job_id) if one.type == "evaluated"]
    return sorted((data["method"], data["network"], data["repeat"]) for data in events)


def test_what_a_second_worker_trains_is_counted_once_and_to_the_same_bits(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = place.new_dataset()
    alone, shared = (place.new_job(dataset_id, **WANTED) for _ in range(2))
    run(place, alone)
    others: list[str] = []

    def another_does_two() -> None:
        for _ in range(2):
            attempt = another_worker(place)
            assert attempt.lease.model is Trial
            trial.run(attempt)
            others.append(attempt.lease.row_id)

    while_it_trains(monkeypatch, another_does_two)
    run(place, shared)
    assert found_in(place, shared) == found_in(place, alone)
    assert counted(place, shared) == counted(place, alone) == sorted(rows_of(place, shared))
    by_another = [one for one in rows_of(place, shared).values() if one.id in others]
    assert [(one.fence, one.job_fence, one.lease_until) for one in by_another] == [(1, None, None)] * 2
    job = job_of(place.database, shared)
    assert (job.state, job.phase) == ("queued", "export")
    assert job.result is not None and len(job.result["evaluated_on"]) == 1


def test_images_chosen_by_features_are_chosen_once_for_all_workers(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = place.new_dataset()
    alone, shared = (place.new_job(dataset_id, **BY_FEATURES) for _ in range(2))
    run(place, alone)
    taken: list[str] = []

    def another_does_all_that_is_offered() -> None:
        assert [key for key in place.blobs_of(shared) if "/selection-" in key], "before its first network"
        while any(one.state == "waiting" for one in rows_of(place, shared).values()):
            attempt = another_worker(place)
            trial.run(attempt)
            taken.append(trial_of(place, attempt).method)

    while_it_trains(monkeypatch, another_does_all_that_is_offered, method="herding")
    run(place, shared)
    assert "herding" in taken
    assert found_in(place, shared) == found_in(place, alone)
    keys = {(one.method, one.selection_key) for one in rows_of(place, shared).values() if one.selection_key}
    assert sorted(method for method, _ in keys) == ["herding", "k-center"], "one each, for both repeats"


@pytest.mark.parametrize("damage", ["a byte", "empty", "gone"])
def test_a_selection_that_is_damaged_is_chosen_anew_by_the_job_s_own_attempt(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    dataset_id = place.new_dataset()
    alone, shared = (place.new_job(dataset_id, **BY_FEATURES) for _ in range(2))
    run(place, alone)
    problems: list[object] = []

    def another_meets_the_damage() -> None:
        (key,) = (key for key in place.blobs_of(shared) if "/selection-herding" in key)
        content = place.path(key).read_bytes()
        if damage == "gone":
            place.path(key).unlink()
        else:
            place.path(key).write_bytes(b"" if damage == "empty" else content[:-8] + b"\x01" + content[-7:])
        while not problems:
            attempt = another_worker(place)
            runner._run(attempt)
            if (problem := trial_of(place, attempt).problem) is not None:
                problems.append(problem["code"])
                assert trial_of(place, attempt).method == "herding"

    while_it_trains(monkeypatch, another_meets_the_damage, method="herding")
    run(place, shared)
    assert problems == ["selection_lost"]
    assert found_in(place, shared) == found_in(place, alone)
    assert all(one.problem is None for one in rows_of(place, shared).values()), "it went well in the end"


def test_what_an_attempt_at_the_job_had_in_hand_the_next_one_trains(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = place.new_job(**WANTED)

    class Died(Exception):
        pass

    def die() -> None:
        raise Died

    with monkeypatch.context() as patched, pytest.raises(Died):
        while_it_trains(patched, die)
        run(place, job_id)
    states = [one.state for one in rows_of(place, job_id).values()]
    assert sorted(set(states)) == ["running", "waiting"]
    with place.database.writing() as session:
        expire(session, Job, job_id)
        reap(session, place.storage, place.settings)
    run(place, job_id)
    assert counted(place, job_id) == sorted(found_in(place, job_id)), "each once"
