"""Evaluations summed up, and the loss curve of a job that was resumed."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.db.models import Job, Metric, Trial
from core.db.session import Database
from core.jobs.curves import curve
from core.kinds.condense.result import NAMED_CLASSES, small_classes
from core.kinds.condense.spec import CondenseSpec
from core.trials.results import CURVE, FINAL, accuracy_curve, done_trials, summarise
from tests.support.databases import migrated_sqlite
from tests.support.leased import OWNER, add_job, done_trial, point

NETWORK = "convnet-d2-w4-instance"
WIDER = "convnet-d2-w8-instance"
SPEC = CondenseSpec.model_validate(
    {"ipc": 1, "network": {"width": 4}, "evaluation": {"cross_architecture": [{"width": 8}]}}
).resolved(16, 50_000, 10)
NETWORKS = [one.label() for one in SPEC.trial_plan().networks]


def evaluation(
    method: str,
    repeat: int,
    accuracy: float,
    *per_class: float | None,
    network: str = NETWORK,
    confusion: list[list[int]] | None = None,
) -> Trial:
    return done_trial(
        "job_1",
        method,
        repeat,
        network=network,
        epochs=2,
        train_images=4,
        accuracy=accuracy,
        per_class=list(per_class),
        confusion=confusion,
        seconds=1.5,
    )


def test_small_classes_are_named_and_counted() -> None:
    spec = CondenseSpec.model_validate({"ipc": 10, "batch_real": 100})
    images_by_class = [("large", 100), ("small", 99), ("enough", 10), ("tiny", 9), ("absent", 0)]
    found = small_classes(spec, images_by_class)
    tiny = {"name": "tiny", "images": 9}
    assert found["ipc"] == {"limit": 10, "count": 1, "first": [tiny]}
    small = [{"name": "small", "images": 99}, {"name": "enough", "images": 10}, tiny]
    assert found["batch_real"] == {"limit": 100, "count": 3, "first": small}


def test_of_many_small_classes_the_first_are_named() -> None:
    found = small_classes(SPEC, [(str(c), 5) for c in range(1000)])["batch_real"]
    assert found["count"] == 1000
    assert [one["name"] for one in found["first"]] == [str(c) for c in range(NAMED_CLASSES)]


def test_the_accuracy_curve_is_summed_up_by_iteration() -> None:
    rows = [
        point("job_1", at, n, accuracy=found) for at, n, found in ((20, 0, 0.7), (9, 0, 0.25), (9, 1, 0.75))
    ]
    first, second = accuracy_curve(rows)
    assert (first["iteration"], first["mean"], first["n"]) == (9, 0.5, 2)
    assert first["std"] == pytest.approx(math.sqrt(2 * 0.25**2)), "n - 1, as of the finished set"
    assert second == {"iteration": 20, "mean": 0.7, "std": None, "n": 1}


def test_mean_and_sample_standard_deviation() -> None:
    rows = [
        evaluation("condensed", i, accuracy, accuracy, None) for i, accuracy in enumerate((0.5, 0.6, 0.8))
    ]
    (found,) = summarise(NETWORKS, rows)
    mean = (0.5 + 0.6 + 0.8) / 3
    # n - 1: these networks are a sample of all that could have been trained.
    std = math.sqrt(sum((a - mean) ** 2 for a in (0.5, 0.6, 0.8)) / 2)
    assert found["mean"] == pytest.approx(mean)
    assert found["std"] == pytest.approx(std)
    assert found["n"] == 3
    assert found["accuracies"] == [0.5, 0.6, 0.8]
    assert found["per_class"] == [pytest.approx(mean), None], "a class without test images has no accuracy"
    assert (found["seconds"], found["epochs"], found["train_images"]) == (4.5, 2, 4)


def test_one_network_has_no_deviation() -> None:
    (found,) = summarise(NETWORKS, [evaluation("random", 0, 0.25, 0.25)])
    assert (found["mean"], found["std"], found["n"]) == (0.25, None, 1)
    assert summarise(NETWORKS, []) == []


def test_methods_are_apart_and_in_order() -> None:
    methods = ["condensed", "png", "random", "herding", "k-center", "whole"]
    rows = [evaluation(method, 0, 0.1) for method in reversed(methods)]
    assert [found["method"] for found in summarise(NETWORKS, rows)] == methods
    assert [found["n"] for found in summarise(NETWORKS, rows)] == [1] * 6


def test_networks_are_apart_and_the_jobs_own_comes_first() -> None:
    rows = [
        evaluation(method, 0, 0.1, network=name)
        for name in (WIDER, NETWORK)
        for method in ("random", "condensed")
    ]
    found = [(one["network"], one["method"]) for one in summarise(NETWORKS, rows)]
    assert found == [(NETWORK, "condensed"), (NETWORK, "random"), (WIDER, "condensed"), (WIDER, "random")]


def test_confusion_is_summed_over_the_networks_or_missing() -> None:
    rows = [
        evaluation("condensed", 0, 0.5, confusion=[[3, 1], [2, 2]]),
        evaluation("condensed", 1, 0.5, confusion=[[4, 0], [0, 4]]),
    ]
    (found,) = summarise(NETWORKS, rows)
    assert found["confusion"] == [[7, 1], [2, 6]]
    (found,) = summarise(NETWORKS, [*rows, evaluation("condensed", 2, 0.5)])
    assert found["confusion"] is None, "a sum over some of them would pass for all"


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    url = migrated_sqlite(tmp_path)
    made = Database(url)
    yield made
    made.engine.dispose()


def losses(session_job: Job, fence: int, iterations: range) -> list[Metric]:
    row = {"job_id": session_job.id, "owner": OWNER, "fence": fence}
    return [
        Metric(**row, series="loss", x=i, value=float(fence * 100 + i), seconds=float(i)) for i in iterations
    ]


def test_the_loss_curve_prefers_the_later_attempt(sqlite: Database) -> None:
    """The first reached iteration 6; the second went on from 3 and reached 5 by now."""
    with sqlite.writing() as session:
        job, other = add_job(session), add_job(session)
        session.add_all([*losses(job, 1, range(1, 7)), *losses(job, 2, range(4, 6))])
        session.add_all(losses(other, 9, range(1, 9)))
        session.add(Metric(job_id=job.id, owner=OWNER, fence=3, series="other", x=1, value=0.0, seconds=1.0))
    with sqlite.reading() as session:
        found = curve(session, job, "loss", after=0, limit=100)
        assert [(p.x, p.value) for p in found] == [
            (1, 101), (2, 102), (3, 103), (4, 204), (5, 205), (6, 106),
        ]  # fmt: skip
        assert [p.x for p in curve(session, job, "loss", after=2, limit=3)] == [3, 4, 5]
        assert curve(session, job, "loss", after=6, limit=3) == []


def test_trials_come_in_order_and_only_those_of_the_group(sqlite: Database) -> None:
    with sqlite.writing() as session:
        job = add_job(session, id="job_1")
        session.add_all(evaluation("condensed", repeat, 0.5, 0.5) for repeat in (2, 0, 1))
        session.add(evaluation("a first", 0, 0.5, 0.5))
        session.add(point("job_1", 5))
        session.add(done_trial("job_1", "whole", state="waiting"))
    with sqlite.reading() as session:
        found = [(one.method, one.repeat) for one in done_trials(session, job, FINAL)]
        assert [one.step for one in done_trials(session, job, CURVE)] == [5]
    assert found == [("a first", 0), ("condensed", 0), ("condensed", 1), ("condensed", 2)]
