"""Accuracy while the images form: what is evaluated, when, and that what is condensed does not notice."""

from dataclasses import replace
from itertools import pairwise
from statistics import fmean, stdev
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from sqlalchemy import delete, select
from starlette.testclient import TestClient

from core.db.models import Job, Metric, Trial
from core.db.session import Database
from core.engine.condense import condense
from core.engine.evaluate import train_and_score
from core.engine.state import CondenseState, synthetic_labels
from core.errors import LeaseLost
from core.kinds.condense import curves as accuracies
from core.kinds.condense import progress as loss_curve
from core.kinds.condense import run as condensing
from core.kinds.condense.spec import CondenseSpec
from core.settings import Settings
from core.storage.local import LocalStorage
from core.trials.results import CURVE
from core.trials.training import finish
from core.work.transitions import move
from tests.support.leased import TINY, event_types, events_of, job_of, new_row, take
from tests.support.limited import limit_convnet
from tests.support.works import WorkOn, condense_phase
from tests.unit.engine.problems import random_images
from worker.attempt import Attempt, StopRequested
from worker.whole_job import WholeJob

pytestmark = pytest.mark.one_database

REAL = random_images((20, 20))
TEST = random_images((30, 30), seed=1)
EVALUATION = {"networks": 2, "epochs": 3, "whole_epochs": 2, "points": 3, "baselines": []}
SPEC = TINY | {"iterations": 12, "evaluation": EVALUATION}
AT = [3, 6, 9]


def new_attempt(database: Database, storage: LocalStorage, settings: Settings, **spec: Any) -> Attempt:
    job_id = new_row(database, Job, spec=CondenseSpec.model_validate(SPEC | spec))
    often = settings.model_copy(update={"progress_seconds": 0, "checkpoint_seconds": 1e9})
    return Attempt(lease=take(database, job_id), settings=often, database=database, storage=storage)


@pytest.fixture
def attempt(database: Database, storage: LocalStorage, settings: Settings) -> Attempt:
    return new_attempt(database, storage, settings)


def run(attempt: Attempt) -> CondenseState:
    return condense_phase(attempt, REAL, TEST)


def later(attempt: Attempt) -> Attempt:
    """Another worker's, after the first went back to the queue."""
    with attempt.database.writing() as session:
        assert move(session, Job, attempt.lease.row_id, "queued")
    return replace(attempt, lease=take(attempt.database, attempt.lease.row_id))


def rows_of(database: Database, job_id: str) -> list[Trial]:
    with database.reading() as session:
        found = select(Trial).where(Trial.job_id == job_id, Trial.group == CURVE)
        return list(session.scalars(found.order_by(Trial.step, Trial.repeat)))


def found_in(attempt: Attempt) -> list[tuple[int, int, float | None]]:
    rows = rows_of(attempt.database, attempt.lease.row_id)
    return [(row.step, row.repeat, row.accuracy) for row in rows]


def data_of(attempt: Attempt, kind: str) -> list[dict[str, Any]]:
    return [one.data for one in events_of(attempt.database, attempt.lease.row_id) if one.type == kind]


def expected_of(attempt: Attempt) -> tuple[list[tuple[int, int, float]], CondenseState]:
    """By the engine alone: the accuracies, and the finished state."""
    spec = CondenseSpec.model_validate(job_of(attempt.database, attempt.lease.row_id).spec)
    config = spec.trial_plan().config(spec.network, spec.ipc * len(REAL.classes))
    found = []
    for step in condense(REAL, spec.condense_config()):
        if step.iteration in AT:
            training = step.state.tensors["images_NCHW"], synthetic_labels(REAL, spec.ipc)
            for repeat in range(2):
                trained = train_and_score(training, TEST, config, repeat)
                found.append((step.iteration, repeat, finish(trained, lambda at: None).accuracy))
    return found, step.state


def stop_at(monkeypatch: pytest.MonkeyPatch, attempt: Attempt, iteration: int, network: int) -> None:
    """The worker is told to stop in the middle of this training."""
    trains = train_and_score

    def watched(*given: Any, **named: Any) -> Any:
        repeat = given[3]
        score = trains(*given, **named)
        while True:
            try:
                at = next(score)
            except StopIteration as end:
                return end.value
            reached = job_of(attempt.database, attempt.lease.row_id).iteration
            if (reached, repeat + 1, at.epoch) == (iteration, network, 2):
                attempt._asked_to_stop = True
            yield at

    monkeypatch.setattr(accuracies, "train_and_score", watched)


def test_by_the_protocol_of_the_finished_set_and_the_images_do_not_notice(attempt: Attempt) -> None:
    accuracies_found, finished = expected_of(attempt)
    assert len({accuracy for *_, accuracy in accuracies_found}) > 1, "or anything would do"
    state = run(attempt)
    assert found_in(attempt) == accuracies_found
    assert data_of(attempt, "accuracy") == [
        {"iteration": iteration, "repeat": repeat, "accuracy": accuracy}
        for iteration, repeat, accuracy in accuracies_found
    ]
    assert torch.equal(state.tensors["images_NCHW"], finished.tensors["images_NCHW"])
    assert torch.equal(state.tensors["velocity_NCHW"], finished.tensors["velocity_NCHW"])
    assert [one["iteration"] for one in data_of(attempt, "checkpoint")] == [*AT, 12]


def test_who_does_not_ask_gets_none(database: Database, storage: LocalStorage, settings: Settings) -> None:
    asked = new_attempt(database, storage, settings)
    attempt = new_attempt(database, storage, settings, evaluation={**EVALUATION, "points": 0})
    bare = {name: value for name, value in EVALUATION.items() if name != "points"}
    default = new_attempt(database, storage, settings, evaluation=bare)
    states = [run(one) for one in (asked, attempt, default)]
    for one in (attempt, default):
        assert found_in(one) == []
        assert "accuracy" not in event_types(database, one.lease.row_id)
        assert [event["iteration"] for event in data_of(one, "checkpoint")] == [12]
        assert not any("evaluating" in event for event in data_of(one, "progress"))
    assert all(torch.equal(one.tensors["images_NCHW"], states[0].tensors["images_NCHW"]) for one in states)


def test_stopped_in_the_middle_it_goes_on_there(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, finished = expected_of(attempt)
    with monkeypatch.context() as patched, pytest.raises(StopRequested):
        stop_at(patched, attempt, iteration=6, network=2)
        run(attempt)
    assert found_in(attempt) == expected[:3]
    before = data_of(attempt, "progress")[-1]["evaluating"]
    assert before == {"network": 2, "networks": 2, "epoch": 2, "epochs": 3}, "and not an epoch later"
    assert data_of(attempt, "checkpoint")[-1]["iteration"] == 6, "nothing condensed is lost"

    second = later(attempt)
    state = run(second)
    assert data_of(second, "resumed") == [{"iteration": 6}]
    assert found_in(second) == expected
    assert [row.fence for row in rows_of(second.database, second.lease.row_id)] == [1] * 3 + [2] * 3
    trained = [(one["iteration"], one["repeat"]) for one in data_of(second, "accuracy")]
    assert trained == [(iteration, repeat) for iteration in AT for repeat in (0, 1)], "none twice"
    assert torch.equal(state.tensors["images_NCHW"], finished.tensors["images_NCHW"])
    progress = job_of(second.database, second.lease.row_id).progress
    assert progress is not None and progress["estimate"] == data_of(second, "estimate")[0]


def test_who_has_lost_the_lease_writes_nothing(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    trains = train_and_score

    def lost_meanwhile(*given: Any, **named: Any) -> Any:
        score = yield from trains(*given, **named)
        later(attempt)
        return score

    monkeypatch.setattr(accuracies, "train_and_score", lost_meanwhile)
    with pytest.raises(LeaseLost):
        run(attempt)
    assert found_in(attempt) == []
    assert data_of(attempt, "accuracy") == []


def scale(attempt: Attempt, iteration: int) -> float:
    """How much longer the whole job takes than its phase, as is said after so many iterations."""
    work = WorkOn(attempt, REAL, TEST)
    whole = WholeJob.of(work.kind, work.spec, work.facts, "condense")
    found: float = whole.progress(iteration / 12, 1.0)["seconds_left"]
    return found


def test_its_time_is_none_of_the_iterations(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    """An iteration takes a second, an epoch of a training twenty minutes."""
    now = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    for module in (accuracies, condensing, loss_curve):
        monkeypatch.setattr(module, "time", clock)
    trains = train_and_score

    def step_by_step(*given: Any, **named: Any) -> Any:
        for step in condense(*given, **named):
            now[0] += 1
            yield step

    def epoch_by_epoch(*given: Any, **named: Any) -> Any:
        training = trains(*given, **named)
        while True:
            try:
                at = next(training)
            except StopIteration as end:
                return replace(end.value, seconds=3600.0)
            now[0] += 1200
            yield at

    monkeypatch.setattr(condensing, "condense", step_by_step)
    monkeypatch.setattr(accuracies, "train_and_score", epoch_by_epoch)
    run(attempt)
    with attempt.database.reading() as session:
        curve = session.scalars(select(Metric).order_by(Metric.x)).all()
    assert [point.seconds for point in curve] == list(range(1, 13))
    dry_run, *progress = data_of(attempt, "progress")
    assert dry_run["iteration"] == 0
    assert {one["seconds_per_iteration"] for one in progress} == {1}
    left = [one["seconds_left"] / scale(attempt, one["iteration"]) for one in progress]
    first = next(n for n, one in enumerate(progress) if "evaluating" in one)
    # How long a training takes is not known before.
    assert sorted({round(one, 6) for one in left[:first]}) == [9, 10, 11]
    assert left[first] == pytest.approx(9 + 6 * 3600 - 1200)
    assert all(after <= before + 1e-6 for before, after in pairwise(left[first:]))
    assert left[-1] == 0


def test_memory_that_runs_out_in_an_evaluation_is_told(
    attempt: Attempt,
    database: Database,
    storage: LocalStorage,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    undisturbed = run(attempt).tensors["images_NCHW"]
    limit_convnet(monkeypatch, 40)
    other = new_attempt(database, storage, settings)
    assert torch.equal(run(other).tensors["images_NCHW"], undisturbed)
    halved = data_of(other, "micro_batch_halved")
    # The 60 test images of each network: 256, 128, 64, 32.
    assert [(one["iteration"], one["network"], one["micro_batch"]) for one in halved] == [
        (at, network, 32) for at in AT for network in (1, 2)
    ]
    assert found_in(other) == found_in(attempt)


def test_the_api_tells_mean_and_spread(http: TestClient, attempt: Attempt) -> None:
    run(attempt)
    job_id = attempt.lease.row_id
    by_iteration = {at: [accuracy or 0.0 for one, _, accuracy in found_in(attempt) if one == at] for at in AT}
    job = http.get(f"/v1/jobs/{job_id}").json()
    assert job["accuracies"] == [
        {"iteration": at, "mean": fmean(found), "std": stdev(found), "n": 2}
        for at, found in by_iteration.items()
    ]
    assert job["evaluations"] == [], "which are of the finished set"
    (listed,) = http.get("/v1/jobs").json()["data"]
    assert listed["accuracies"] == []
    with attempt.writing() as session:
        second = (Trial.job_id == job_id, Trial.step == AT[0], Trial.repeat == 1)
        session.execute(delete(Trial).where(*second))
    first = http.get(f"/v1/jobs/{job_id}").json()["accuracies"][0]
    assert (first["std"], first["n"], first["mean"]) == (None, 1, by_iteration[AT[0]][0])


def test_they_go_with_the_job(http: TestClient, attempt: Attempt) -> None:
    run(attempt)
    job_id = attempt.lease.row_id
    with attempt.writing() as session:
        assert move(session, Job, job_id, "failed", problem={"code": "lost", "detail": "x"})
    assert len(http.get(f"/v1/jobs/{job_id}").json()["accuracies"]) == 3
    assert http.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert rows_of(attempt.database, job_id) == []
