"""What a runner makes of its work's failures, and that nobody outlives a killed parent."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select

from core.catalogue.blobs import file_key_of
from core.catalogue.uploads import create_upload
from core.data.canonical.canonical_set import CanonicalSet
from core.db.models import Dataset, Metric
from core.db.session import Database
from core.ids import new_id
from tests.data.corpus import CASES
from tests.support.leased import OWNER, dataset_of, event_types, job_of
from tests.support.processes import commands, descendants, runner_of, wait_for
from tests.support.workplace import ENDLESS, ROOT, Workplace, embedded_workplace, workplace
from tests.unit.data.builders import folder, make_zip


@pytest.fixture
def place(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workplace]:
    with workplace(database, database_url, tmp_path / "data", monkeypatch) as made:
        yield made


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    with embedded_workplace(tmp_path, monkeypatch) as made:
        yield made


def test_a_job_that_diverges_fails_as_such_at_once(place: Workplace) -> None:
    """Not as a lost worker after three attempts: no database keeps the NaN that it would report."""
    network = {"width": 4, "norm": "none"}  # a normalised one survives any step size
    job_id = place.new_job(lr=1e6, momentum=0.999, iterations=400, network=network)
    place.attempt(job_id)
    job = job_of(place.database, job_id)
    assert job.state == "failed"
    assert job.problem is not None and job.problem["code"] == "numerical"
    assert "not finite" in job.problem["detail"] and "a smaller lr may help" in job.problem["detail"]
    assert (job.setbacks, job.lease_until) == ({}, None)
    assert event_types(place.database, job_id)[-1] == "failed"
    with place.database.reading() as session:
        infinite = select(func.count()).select_from(Metric).where(Metric.value > 1e38)
        assert session.scalar(infinite) == 0


@contextmanager
def address_space(limit: int) -> Iterator[None]:
    """Of this process and those that it starts, in bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_a_job_that_does_not_fit_into_memory_fails_as_such_at_once(embedded: Workplace) -> None:
    # Batch norm lets no batch be split, and 65,536 images of 2048 maps of 16 px take 128 GiB.
    job_id = embedded.new_job(batch_real=32_768, network={"width": 2048, "depth": 1, "norm": "batch"})
    with address_space(64 << 30):
        embedded.attempt(job_id)
    job = job_of(embedded.database, job_id)
    assert (job.state, job.setbacks, job.iteration) == ("failed", {}, 0)
    assert job.problem is not None and job.problem["code"] == "out_of_memory"
    detail = job.problem["detail"]
    assert detail.startswith("out of memory on cpu in iteration 1 with a micro-batch of 65536")
    assert "a smaller batch_real (to condense), another norm" in detail
    assert event_types(embedded.database, job_id) == ["queued", "running", "failed"]


def upload(place: Workplace, content: bytes) -> str:
    upload_id = new_id("up")
    with place.storage.receive() as receiver:
        receiver.write(content)
        receiver.store(file_key_of(upload_id))
    with place.database.writing() as session:
        create_upload(
            session, place.storage, OWNER, upload_id=upload_id, sha256=receiver.sha256, size=receiver.size,
            file_name="a.zip",
        )  # fmt: skip
    return upload_id


def test_a_set_that_passes_its_owners_limit_is_invalid_and_says_so(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = make_zip(tmp_path / "upload.zip", folder(each=20)).read_bytes()
    limit = len(content) + 1000  # read out, it takes thirty times as much
    with workplace(database, database_url, tmp_path / "data", monkeypatch, owner_stored_bytes=limit) as place:
        dataset_id = place.new_upload_dataset(upload(place, content))
        place.attempt(dataset_id, Dataset)
        dataset = dataset_of(database, dataset_id)
        assert (dataset.state, dataset.setbacks) == ("invalid", {})
        assert dataset.problem is not None and dataset.problem["code"] == "storage_quota_exceeded"
        assert f"the limit of {limit}" in dataset.problem["detail"]
        assert list(place.storage.keys("datasets")) == []


def test_an_upload_becomes_a_data_set(place: Workplace, tmp_path: Path) -> None:
    content = make_zip(tmp_path / "upload.zip", folder(each=20)).read_bytes()
    dataset_id = place.new_upload_dataset(upload(place, content))
    place.attempt(dataset_id, Dataset)
    dataset = dataset_of(place.database, dataset_id)
    assert (dataset.state, dataset.fence, dataset.lease_until) == ("ready", 1, None)
    assert (dataset.images_done, dataset.images_total, dataset.image_size) == (40, 40, 16)
    assert dataset.blob_prefix is not None and dataset.finished_at is not None
    canonical = CanonicalSet.open(place.path(dataset.blob_prefix))
    assert canonical.manifest.content_hash == dataset.content_hash
    assert canonical.manifest.classes == ("cat", "dog")
    events = event_types(place.database, dataset_id)
    assert [e for e in events if e != "progress"] == ["ingesting", "claimed", "ready"]


def test_an_upload_that_is_no_data_set_is_invalid_at_once(place: Workplace) -> None:
    dataset_id = place.new_upload_dataset(upload(place, b"not an archive at all" * 100))
    place.attempt(dataset_id, Dataset)
    dataset = dataset_of(place.database, dataset_id)
    assert (dataset.state, dataset.setbacks, dataset.lease_until) == ("invalid", {}, None)
    assert dataset.problem is not None and dataset.problem["code"] != "worker_lost"
    assert list(place.storage.keys("datasets")) == []
    assert list((place.settings.data_dir / "tmp").iterdir()) == []


def test_an_upload_that_takes_too_much_memory_is_invalid_at_once_and_says_so(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bomb,) = (case for case in CASES if case.name == "parquet-dictionary-values")
    limit = 512 << 20
    with workplace(
        database, database_url, tmp_path / "data", monkeypatch, max_ingest_memory_bytes=limit
    ) as place:
        dataset_id = place.new_upload_dataset(upload(place, bomb.make()))
        place.attempt(dataset_id, Dataset)
        dataset = dataset_of(database, dataset_id)
        assert (dataset.state, dataset.setbacks) == ("invalid", {})
        assert dataset.problem is not None and dataset.problem["code"] == "limit_exceeded"
        assert (dataset.problem["limit_name"], dataset.problem["limit"]) == ("memory_bytes", limit)
        assert list(place.storage.keys("datasets")) == []


def test_a_job_whose_data_set_is_gone_fails(embedded: Workplace) -> None:
    job_id = embedded.new_job()
    with embedded.database.writing() as session:
        session.execute(delete(Dataset))
    embedded.attempt(job_id)
    job = job_of(embedded.database, job_id)
    assert job.state == "failed"
    assert job.problem == {"code": "dataset_deleted", "detail": "the job's data set was deleted"}


def gone(pids: set[int]) -> bool:
    return not pids & commands().keys()


def test_a_runner_dies_with_its_supervisor(embedded: Workplace) -> None:
    job_id = embedded.new_job(iterations=ENDLESS)
    task = "from worker import slots, tasks; slots.make(); tasks.work_through('gpu')"
    supervisor = subprocess.Popen([sys.executable, "-c", task], cwd=ROOT)
    try:
        embedded.wait_for_event(job_id, "progress")
        runner = wait_for(lambda: runner_of(job_id))
        assert runner is not None
    finally:
        supervisor.send_signal(signal.SIGKILL)
        supervisor.wait()
    wait_for(lambda: gone({runner}), seconds=20)  # by itself it would end with its lease: after 40
    assert job_of(embedded.database, job_id).state == "running", "the lease tells the reaper, later"


def test_a_runner_started_by_a_process_that_is_gone_does_nothing(embedded: Workplace) -> None:
    """Its parent died before the kernel could be asked to watch."""
    job_id = embedded.new_job()
    command = [sys.executable, "-m", "worker.runner", "job", job_id, "1", "1"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert event_types(embedded.database, job_id) == ["queued"]


def test_celery_and_its_pool_die_with_the_worker(embedded: Workplace) -> None:
    worker = subprocess.Popen([sys.executable, "-m", "worker", "cpu"], cwd=ROOT, start_new_session=True)
    try:
        # The Celery worker, and one process of its pool at least.
        family = wait_for(lambda: found if len(found := descendants(worker.pid)) >= 2 else set())
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    wait_for(lambda: gone(family))  # one may still be importing
