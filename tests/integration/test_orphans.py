"""Files that belong to nothing go once they are old."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from core.catalogue.orphans import orphans
from core.catalogue.sweep import check_files, sweep
from core.db.models import Checkpoint, Dataset, Job, Orphan, Worker
from core.db.session import Database
from core.db.types import db_now
from core.storage.local import LocalStorage
from tests.support.api import add_artifact, bring, queued_job, upload
from tests.support.databases import migrated_sqlite
from tests.support.processes import descendants, wait_for
from tests.support.service import ROOT
from tests.support.sweeping import seen_before, sweep_everything
from tests.support.workplace import embedded_workplace


def put(storage: LocalStorage, key: str, content: bytes = b"left behind") -> str:
    with storage.receive() as receiver:
        receiver.write(content)
        receiver.store(key)
    return key


def make_old(storage: LocalStorage) -> None:
    """By the time of their last change; the kernel's own, of their name, cannot be set."""
    then = time.time() - 10
    for key in list(storage.keys()):
        os.utime(storage.path(key), (then, then))


def test_only_what_belongs_to_nothing(http: TestClient, database: Database, storage: LocalStorage) -> None:
    sent = upload(http)["id"]
    finished, working = queued_job(http, database), queued_job(http, database)
    artifact = add_artifact(database, storage, finished, b"x").blob_key
    bring(database, finished, "running", "succeeded")
    bring(database, working, "running")
    checkpoint = put(storage, f"jobs/{working}/a1/checkpoint-00000001.safetensors")
    dataset = http.get(f"/v1/jobs/{working}").json()["dataset_id"]
    with database.writing() as session:
        session.execute(update(Job).where(Job.id == working).values(fence=2))
        session.add(
            Checkpoint(
                job_id=working,
                owner="local",
                fence=1,
                iteration=1,
                blob_key=checkpoint,
                size=11,
                sha256="0" * 64,
            )
        )
    belongs = {
        artifact,
        checkpoint,
        put(storage, f"datasets/{dataset}/a1/manifest.json"),
        put(storage, f"jobs/{working}/a2/artifacts/being-written.npz"),
    }
    lost = {
        put(storage, "uploads/up_orphan"),
        put(storage, "datasets/ds_1/a1/train.images.npy"),
        put(storage, f"datasets/{dataset}/a2/manifest.json"),
        put(storage, "jobs/job_1/a1/artifacts/x.npz"),
        put(storage, f"jobs/{finished}/a1/checkpoint-00000002.safetensors"),
        put(storage, f"jobs/{working}/a1/checkpoint-00000002.safetensors"),
    }
    make_old(storage)
    before = set(storage.keys())
    with database.reading() as session:
        assert orphans(session, storage) == []
        # A file is as old as its name, too: what is just being registered may have come long ago.
        assert orphans(session, storage, 5) == []
        assert set(orphans(session, storage, 0)) == lost
    sweep_everything(database, storage)
    assert set(storage.keys()) == before - lost
    assert belongs <= before - lost
    assert http.get(f"/v1/uploads/{sent}").status_code == 200


def test_an_ingest_that_is_about_to_publish_keeps_its_files(
    http: TestClient, database: Database, storage: LocalStorage
) -> None:
    dataset = http.post("/v1/datasets", json={"upload_id": upload(http)["id"]}).json()["id"]
    mine = put(storage, f"datasets/{dataset}/a1/manifest.json")
    claimed = update(Dataset).where(Dataset.id == dataset)
    with database.writing() as session:
        session.execute(claimed.values(fence=1, lease_until=db_now(60)))
    with database.reading() as session:
        assert orphans(session, storage, 0) == []
    with database.writing() as session:
        session.execute(claimed.values(fence=2))
    with database.reading() as session:
        assert orphans(session, storage, 0) == [mine], "another attempt has the row now"


def fill(http: TestClient, storage: LocalStorage, *, known: int, lost: int) -> list[str]:
    """So many files of uploads, and so many that belong to nothing. Returns the keys of these."""
    for number in range(known):
        upload(http, b"known %d" % number)
    return [put(storage, f"uploads/up_lost{number}") for number in range(lost)]


def sightings(database: Database) -> set[str]:
    with database.reading() as session:
        return set(session.scalars(select(Orphan.key)))


def test_nothing_goes_that_did_not_belong_to_nothing_a_day_ago(
    http: TestClient, database: Database, storage: LocalStorage
) -> None:
    first = fill(http, storage, known=19, lost=1)
    for hours in (0, 23):
        seen_before(database, hours)
        with capture_logs() as lines:
            assert sweep(database, storage, 0) == []
        (line,) = lines
        assert line["event"] == "files that belong to nothing are kept for a day after they were first seen"
        assert (line["orphans"], line["files"], line["due"]) == (1, 20, 0)
        left = datetime.fromisoformat(line["waiting_until"]) - datetime.now(UTC)
        assert abs(left - timedelta(hours=24 - hours)) < timedelta(minutes=5)
    seen_before(database, 25)
    second = put(storage, "uploads/up_later")
    with capture_logs() as lines:
        assert sweep(database, storage, 0) == first, "the other was seen for the first time"
    assert {line["key"] for line in lines if "key" in line} == set(first)
    (deleted,) = (line for line in lines if line["event"] == "files that belong to nothing deleted")
    assert (deleted["orphans"], deleted["files"], deleted["due"]) == (2, 21, 1)
    assert set(first).isdisjoint(storage.keys())
    assert sightings(database) == {second}
    assert len(list(storage.keys())) == 20


def test_a_file_that_came_to_belong_to_something_begins_anew(
    http: TestClient, database: Database, storage: LocalStorage
) -> None:
    fill(http, storage, known=19, lost=0)
    dataset = http.post("/v1/datasets", json={"upload_id": upload(http)["id"]}).json()["id"]
    key = put(storage, f"datasets/{dataset}/a1/manifest.json")
    assert sweep(database, storage, 0) == []
    seen_before(database, 25)
    held = update(Dataset).where(Dataset.id == dataset)
    with database.writing() as session:
        session.execute(held.values(fence=1, lease_until=db_now(60)))
    assert sweep(database, storage, 0) == []
    assert sightings(database) == set()
    with database.writing() as session:
        session.execute(held.values(fence=2))
    assert sweep(database, storage, 0) == []
    assert sightings(database) == {key}
    storage.delete(key)
    assert sweep(database, storage, 0) == []
    assert sightings(database) == set()


def test_never_more_than_a_tenth_of_all_files(
    http: TestClient, database: Database, storage: LocalStorage
) -> None:
    lost = fill(http, storage, known=17, lost=2)
    sweep(database, storage, 0)
    seen_before(database, 25)
    with capture_logs() as lines:
        assert sweep(database, storage, 0) == [], "two of nineteen"
    (line,) = lines
    assert (line["log_level"], line["due"], line["files"]) == ("warning", 2, 19)
    assert "more than a tenth of all" in line["event"]
    assert line["then_run"] == "python -m core.admin storage sweep"
    assert set(lost) <= set(storage.keys())
    upload(http, b"one more")
    assert sweep(database, storage, 0) == lost, "two of twenty"


def test_an_empty_database_erases_no_store(
    http: TestClient, database: Database, storage: LocalStorage, tmp_path: Path
) -> None:
    """The address of another database, by mistake: to it a whole store belongs to nothing."""
    fill(http, storage, known=20, lost=1)
    sweep(database, storage, 0)
    seen_before(database, 25)
    stored = set(storage.keys())
    (tmp_path / "other").mkdir()
    other = Database(migrated_sqlite(tmp_path / "other"))
    for hours in (0, 25, 10_000):
        seen_before(other, hours)
        assert sweep(other, storage, 0) == []
        assert set(storage.keys()) == stored
    other.engine.dispose()
    assert sweep(database, storage, 0) == ["uploads/up_lost0"], "the right one still knows what it has seen"


def test_several_sweeps_at_once(http: TestClient, database: Database, storage: LocalStorage) -> None:
    lost = fill(http, storage, known=90, lost=10)

    def sweeps() -> list[list[str]]:
        with ThreadPoolExecutor(4) as pool:
            return [one.result() for one in [pool.submit(sweep, database, storage, 0) for _ in range(4)]]

    assert sweeps() == [[]] * 4
    assert sightings(database) == set(lost)
    seen_before(database, 25)
    assert set().union(*sweeps()) == set(lost)
    assert set(lost).isdisjoint(storage.keys())
    assert len(list(storage.keys())) == 90
    assert check_files(database, storage, 0).due == []
    assert sightings(database) == set()


def test_more_than_a_statement_may_name(database: Database, storage: LocalStorage) -> None:
    with storage.scratch() as folder:
        (folder / "out").mkdir()
        for number in range(1100):
            (folder / "out" / f"{number:04}").touch()
        storage.put("jobs/job_1", folder / "out")
    assert check_files(database, storage, 0).orphans == len(sightings(database)) == 1100
    sweep_everything(database, storage)
    assert (list(storage.keys()), sightings(database)) == ([], set())


def test_a_worker_looks_for_them_an_hour_after_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its other tidying begins at once."""
    with embedded_workplace(tmp_path, monkeypatch) as place:
        database = place.database
        with database.writing() as session:
            session.add(Orphan(key="uploads/up_gone"))  # as there is no such file, a sweep forgets it
            silent = {"host": "h", "version": "1", "queues": [], "slots": {}, "device": "cpu"}
            session.add(Worker(id="wk_silent", seen_at=db_now(-100_000), **silent))
        with worker("cpu") as pid:
            wait_for(lambda: "wk_silent" not in workers(database))
            wait_for(lambda: not tidying(pid))
            assert sightings(database) == {"uploads/up_gone"}
        with worker("cpu", hour_seconds=0.5):
            wait_for(lambda: sightings(database) == set())


@contextmanager
def worker(queue: str, *, hour_seconds: float = 3600.0) -> Iterator[int]:
    """The process id of a worker, between two of whose tidyings so many seconds pass."""
    code = "import sys; from worker import __main__ as worker; "
    code += f"worker._TIDY_SECONDS /= 3600 / {hour_seconds}; sys.exit(worker.main([{queue!r}]))"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def workers(database: Database) -> set[str]:
    with database.reading() as session:
        return set(session.scalars(select(Worker.id)))


def tidying(pid: int) -> bool:
    """Whether it runs, or has begun to; one that has ended has no command line any more."""
    return any(Path(f"/proc/{one}/comm").read_text() == "tidying\n" for one in descendants(pid))
