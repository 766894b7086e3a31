"""Evaluations summed up, and the loss curve of a job that was resumed."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.db.migrate import upgrade
from core.db.models import Evaluation, Job, Metric
from core.db.session import Database
from core.jobs.results import evaluations_of, loss_curve, summarise
from tests.support.databases import empty_sqlite
from tests.support.leased import OWNER, add_job


def evaluation(method: str, repeat: int, accuracy: float, *per_class: float | None) -> Evaluation:
    return Evaluation(
        id=f"ev_{method}_{repeat}",
        job_id="job_1",
        owner=OWNER,
        fence=1,
        method=method,
        network="convnet-d2-w4-instance",
        repeat=repeat,
        epochs=2,
        train_images=4,
        accuracy=accuracy,
        per_class=list(per_class),
        seconds=1.5,
    )


def test_mean_and_sample_standard_deviation() -> None:
    rows = [
        evaluation("condensed", i, accuracy, accuracy, None) for i, accuracy in enumerate((0.5, 0.6, 0.8))
    ]
    (found,) = summarise(rows)
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
    (found,) = summarise([evaluation("random", 0, 0.25, 0.25)])
    assert (found["mean"], found["std"], found["n"]) == (0.25, None, 1)
    assert summarise([]) == []


def test_methods_are_apart_and_in_order() -> None:
    rows = [evaluation(method, 0, 0.1) for method in ("whole", "random", "condensed")]
    assert [found["method"] for found in summarise(rows)] == ["condensed", "random", "whole"]
    assert [found["n"] for found in summarise(rows)] == [1, 1, 1]


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    url = empty_sqlite(tmp_path)
    upgrade(url)
    made = Database(url)
    yield made
    made.engine.dispose()


def points(session_job: Job, fence: int, iterations: range) -> list[Metric]:
    row = {"job_id": session_job.id, "owner": OWNER, "fence": fence}
    return [Metric(**row, iteration=i, loss=float(fence * 100 + i), seconds=float(i)) for i in iterations]


def test_the_loss_curve_prefers_the_later_attempt(sqlite: Database) -> None:
    """The first reached iteration 6; the second went on from 3 and reached 5 by now."""
    with sqlite.writing() as session:
        job, other = add_job(session), add_job(session)
        session.add_all([*points(job, 1, range(1, 7)), *points(job, 2, range(4, 6))])
        session.add_all(points(other, 9, range(1, 9)))
    with sqlite.reading() as session:
        curve = loss_curve(session, job, after=0, limit=100)
        assert [(p.iteration, p.loss) for p in curve] == [
            (1, 101), (2, 102), (3, 103), (4, 204), (5, 205), (6, 106),
        ]  # fmt: skip
        assert [p.iteration for p in loss_curve(session, job, after=2, limit=3)] == [3, 4, 5]
        assert loss_curve(session, job, after=6, limit=3) == []


def test_evaluations_come_in_order(sqlite: Database) -> None:
    with sqlite.writing() as session:
        job = add_job(session, id="job_1")
        session.add_all(evaluation("condensed", repeat, 0.5, 0.5) for repeat in (2, 0, 1))
        session.add(evaluation("a first", 0, 0.5, 0.5))
    with sqlite.reading() as session:
        found = [(one.method, one.repeat) for one in evaluations_of(session, job)]
    assert found == [("a first", 0), ("condensed", 0), ("condensed", 1), ("condensed", 2)]
