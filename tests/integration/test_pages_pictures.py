"""The pictures on the pages of a job and of its result, without a browser."""

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from core.db.models import Dataset, Job, Snapshot
from core.db.session import Database
from core.storage.local import LocalStorage
from core.work.files import snapshot_key
from tests.support.api import SMALL, add_artifact, bring, ready_dataset
from tests.support.pages import PAGE, part_of, text_of

pytestmark = pytest.mark.one_database

CELL, GAP = 64, 2


def png(columns: int, rows: int) -> bytes:
    """What says that it is a PNG of cells of 64 px."""
    size = (columns * (CELL + GAP) + GAP, rows * (CELL + GAP) + GAP)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", *size)


def put(storage: LocalStorage, key: str, content: bytes) -> None:
    with storage.scratch() as folder:
        file: Path = folder / "file"
        file.write_bytes(content)
        storage.put(key, file)


@pytest.fixture
def dataset(http: TestClient, database: Database, storage: LocalStorage) -> str:
    """Ready, of 22 classes: more than its own preview has."""
    made = ready_dataset(http, database, per_class=(20,) * 22)
    with database.reading() as session:
        put(storage, f"{session.get_one(Dataset, made).blob_prefix}/preview.png", png(10, 20))
    return made


def formed(http: TestClient, database: Database, storage: LocalStorage, dataset: str, ipc: int) -> str:
    """A job with two snapshots."""
    job = str(http.post("/v1/jobs", json={"dataset_id": dataset, **SMALL, "ipc": ipc}).json()["id"])
    bring(database, job, "running")
    for iteration in (0, 5):
        key = snapshot_key(job, 1, iteration)
        put(storage, key, png(min(ipc, 10), 22))
        with database.writing() as session:
            snapshot = {"job_id": job, "owner": session.get_one(Job, job).owner, "iteration": iteration}
            session.add(Snapshot(**snapshot, fence=1, blob_key=key, size=24, sha256="0" * 64))
    return job


def pictures(page: httpx2.Response) -> list[list[tuple[str, str, str]]]:
    """By class: of each picture its name, the piece that is shown, and where it comes from."""
    table = part_of(page, '<table class="pairs">', "</table>")
    found = r'<svg viewBox="([^"]+)"[^>]*aria-label="([^"]+)">\s*<(?:use|image) href="([^"]+)"'
    return [
        [(name, box, address) for box, name, address in re.findall(found, row)]
        for row in re.findall('<tr><th scope="row">.*?</tr>', table, re.DOTALL)
    ]


def test_synthetic_and_real_images_of_a_class_are_in_one_row(
    http: TestClient, database: Database, storage: LocalStorage, dataset: str
) -> None:
    job = formed(http, database, storage, dataset, 1)
    page = http.get(f"/jobs/{job}", headers=PAGE)
    rows = pictures(page)
    assert len(rows) == 22
    real = f"/v1/datasets/{dataset}/preview"
    assert rows[3] == [
        ("Synthetic images of the class 3", "0 199 68 66", "#shown"),
        ("Real images of the class 3", "0 199 662 66", real),
    ]
    assert [len(row) for row in rows] == [2] * 20 + [1] * 2
    assert "Real images are drawn of the first 20 classes." in text_of(page)
    [shown] = re.findall(r'<image id="shown" href="([^"]+)"/>', page.text)
    assert shown == f"/v1/jobs/{job}/snapshots/5", "the newest, without a script"


def test_many_synthetic_images_leave_room_for_real_ones(
    http: TestClient, database: Database, storage: LocalStorage, dataset: str
) -> None:
    page = http.get(f"/jobs/{formed(http, database, storage, dataset, 12)}", headers=PAGE)
    assert [box for _, box, _ in pictures(page)[0]] == ["0 1 662 66", "0 1 332 66"]
    assert "The first 10 of 12 images of each class." in text_of(page)


def test_before_the_first_snapshot_there_is_where_it_will_be(
    http: TestClient, database: Database, dataset: str
) -> None:
    job = http.post("/v1/jobs", json={"dataset_id": dataset, **SMALL}).json()["id"]
    page = http.get(f"/jobs/{job}", headers=PAGE)
    assert pictures(page) == []
    assert '<section id="forming" aria-labelledby="forming-title" hidden>' in page.text
    assert '<image id="shown"/>' in page.text


def test_without_its_data_set_a_jobs_picture_is_shown_as_a_whole(
    http: TestClient, database: Database, storage: LocalStorage, dataset: str
) -> None:
    job = formed(http, database, storage, dataset, 1)
    bring(database, job, "succeeded")
    assert http.delete(f"/v1/datasets/{dataset}").status_code == 204
    [row] = pictures(http.get(f"/jobs/{job}", headers=PAGE))
    assert [box for _, box, _ in row] == ["0 1 68 1452"]


@pytest.fixture
def result(
    http: TestClient, database: Database, storage: LocalStorage, dataset: str
) -> Iterator[dict[int, str]]:
    """The address of a result's page, by images per class."""
    found = {}
    for ipc in (10, 12):
        job = formed(http, database, storage, dataset, ipc)
        add_artifact(database, storage, job, png(10, 22), file_name="preview.preview")
        add_artifact(database, storage, job, b'{"classes": ["a", "b"]}', file_name="manifest.manifest")
        add_artifact(database, storage, job, b"zip", file_name="condensed.png")
        bring(database, job, "succeeded")
        found[ipc] = f"/jobs/{job}/result"
    yield found


def test_a_result_says_where_the_images_are_that_it_does_not_draw(
    app: FastAPI, http: TestClient, result: dict[int, str]
) -> None:
    few, many = (http.get(result[ipc], headers=PAGE) for ipc in (10, 12))
    assert "images of each class" not in text_of(few)
    assert "The first 10 of 12 images of each class; all are in the PNG archive ." in text_of(many)
    [address] = re.findall(r'<a href="([^"]+)" download="[^"]+">the PNG archive</a>', many.text)
    assert http.get(address).content == b"zip"


def test_a_waiting_job_marks_no_phase(http: TestClient, database: Database, dataset: str) -> None:
    job = http.post("/v1/jobs", json={"dataset_id": dataset, **SMALL}).json()["id"]
    waiting = part_of(http.get(f"/jobs/{job}", headers=PAGE), '<section id="progress"', "</section>")
    assert "aria-current" not in waiting
    assert "waits for its turn" in text_of(waiting)
    bring(database, job, "running")
    running = part_of(http.get(f"/jobs/{job}", headers=PAGE), '<section id="progress"', "</section>")
    assert '<li aria-current="step">condense</li>' in running
