"""What is said while nothing happens, and how far a data set is in a log."""

from collections.abc import Callable
from threading import Semaphore, Thread

import pytest
from sqlalchemy import delete

from condensery import Client, Dataset
from condensery.cli import silence, watch
from core.db import models
from core.db.session import Database
from core.work.transitions import record
from core.work.workers import note_alive
from tests.support.api import bring, make_ready


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch, database: Database) -> None:
    monkeypatch.setattr(silence, "SECONDS_OF_SILENCE", 0.3)
    monkeypatch.setattr(watch, "SECONDS_BETWEEN_LINES", 0)
    with database.writing() as session:
        session.execute(delete(models.Worker))


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Waits until it has been asked, once more, whether there is a worker, and said what there was to say."""
    checks, check = Semaphore(0), silence._Silence.check

    def noted(one: silence._Silence) -> None:
        check(one)
        checks.release()

    def wait() -> None:
        while checks.acquire(blocking=False):
            pass  # of a time before what the caller has just done
        assert checks.acquire(timeout=60) and checks.acquire(timeout=60)

    monkeypatch.setattr(silence._Silence, "check", noted)
    return wait


def start_worker(database: Database) -> None:
    with database.writing() as session:
        worker = models.Worker(id="w", host="h", version="1", queues=["cpu"], slots=1, device="cpu")
        note_alive(session, worker)


def test_a_job_that_waits_for_a_worker_says_so_once_and_when_it_goes_on(
    client: Client,
    dataset: Dataset,
    database: Database,
    capsys: pytest.CaptureFixture[str],
    checked: Callable[[], None],
) -> None:
    job = client.jobs.submit(dataset, ipc=1, iterations=5)

    def happen() -> None:
        checked()
        start_worker(database)
        checked()
        bring(database, job.id, "running", "cancelling", "cancelled")

    there = Thread(target=happen)
    there.start()
    watch.watch_job(job)
    there.join()
    told = capsys.readouterr().err.splitlines()
    assert told[:3] == [
        f"{job.id}: queued", f"{job.id}: {silence.NO_WORKER}", f"{job.id}: {silence.GOES_ON}"
    ]  # fmt: skip
    assert told[3:] == ["  running", "  cancelling", "  cancelled"]


def test_nothing_is_said_where_a_worker_is_only_busy(
    client: Client,
    dataset: Dataset,
    database: Database,
    capsys: pytest.CaptureFixture[str],
    checked: Callable[[], None],
) -> None:
    start_worker(database)
    job = client.jobs.submit(dataset, ipc=1, iterations=5)

    def happen() -> None:
        checked()
        bring(database, job.id, "cancelled")

    there = Thread(target=happen)
    there.start()
    watch.watch_job(job)
    there.join()
    assert capsys.readouterr().err.splitlines() == [f"{job.id}: queued", "  cancelled"]


def test_a_log_says_how_far_a_data_set_is_and_that_it_waits(
    client: Client,
    database: Database,
    file: object,
    capsys: pytest.CaptureFixture[str],
    checked: Callable[[], None],
) -> None:
    made = client.datasets.add(str(file), name="set")

    def happen() -> None:
        checked()
        with database.writing() as session:
            for data in ({"images": 7, "total": None}, {"images": 9, "total": 20}):
                assert record(session, models.Dataset, made.id, "progress", data)
        make_ready(database, made.id)

    there = Thread(target=happen)
    there.start()
    watch.watch_dataset(made)
    there.join()
    told = capsys.readouterr().err.splitlines()
    assert told[:3] == [
        f"{made.id}: {silence.NO_WORKER}", "  reading set: 7 images", "  reading set: 9/20 images"
    ]  # fmt: skip
