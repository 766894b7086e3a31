"""The service on a bucket: from an upload to a data set, and what it says while the bucket is away."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from core.db.models import Dataset
from core.db.session import Database
from core.storage import s3
from tests.support.api import client_of, problem_of
from tests.support.buckets import aws_environment
from tests.support.leased import dataset_of, job_of
from tests.support.servers import free_port
from tests.support.workplace import Workplace, workplace
from tests.unit.data.builders import folder, make_zip


@pytest.fixture
def place(
    database: Database, database_url: str, tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workplace]:
    with workplace(
        database, database_url, tmp_path / "data", monkeypatch, storage_url=bucket, max_attempts=2
    ) as made:
        yield made


@pytest.fixture
def http(place: Workplace) -> Iterator[TestClient]:
    with client_of(create_app(place.settings, place.database, place.storage)) as client:
        yield client


@pytest.fixture
def away(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The object store cannot be reached by whoever looks for it from now on."""
    monkeypatch.setattr(s3, "_RETRY", timedelta(0))
    for name, value in aws_environment(f"http://127.0.0.1:{free_port()}").items():
        monkeypatch.setenv(name, value)
    place.storage = s3.S3Storage(str(place.settings.storage_url), place.settings.data_dir, cache_bytes=0)


def test_an_upload_becomes_a_data_set_with_a_preview(
    place: Workplace, http: TestClient, tmp_path: Path
) -> None:
    source = make_zip(tmp_path / "upload", folder(each=20))
    upload = http.put("/v1/uploads", content=source.read_bytes()).json()
    made = http.post("/v1/datasets", json={"upload_id": upload["id"]})
    assert made.status_code == 202, made.text
    place.attempt(made.json()["id"], Dataset)
    dataset = dataset_of(place.database, made.json()["id"])
    assert dataset.state == "ready", dataset.problem
    preview = http.get(f"/v1/datasets/{dataset.id}/preview")
    assert preview.status_code == 200
    assert preview.headers["content-type"] == "image/png"
    assert preview.content.startswith(b"\x89PNG")
    part = http.get(f"/v1/datasets/{dataset.id}/preview", headers={"Range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, b"PNG")
    assert not (place.settings.data_dir / "blobs").exists()
    assert http.delete(f"/v1/datasets/{dataset.id}").status_code == 204
    assert http.delete(f"/v1/uploads/{upload['id']}").status_code == 204
    assert list(place.storage.keys()) == []


def test_a_resumable_upload_ends_in_the_bucket(place: Workplace, http: TestClient) -> None:
    tus = {"Tus-Resumable": "1.0.0"}
    begun = http.post("/v1/uploads", headers={**tus, "Upload-Length": "8"}).headers["location"]
    piece = {**tus, "Content-Type": "application/offset+octet-stream"}
    assert http.patch(begun, content=b"half", headers={**piece, "Upload-Offset": "0"}).status_code == 204
    assert list(place.storage.keys()) == []
    assert http.patch(begun, content=b"more", headers={**piece, "Upload-Offset": "4"}).status_code == 204
    assert list(place.storage.keys()) == [begun.removeprefix("/v1/")]
    assert list((place.settings.data_dir / "partial").iterdir()) == []


def test_while_the_bucket_is_away_requests_say_so(place: Workplace, away: None) -> None:
    with client_of(create_app(place.settings, place.database, place.storage)) as http:
        answer = http.put("/v1/uploads", content=b"some bytes")
        problem_of(answer, 503, "storage_unavailable")
        assert answer.headers["retry-after"] == "5"
        assert http.get("/v1/uploads").json()["data"] == []
        ready = http.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["storage"]) == (503, "unreachable")
        assert http.get("/healthz").status_code == 200
    assert list((place.settings.data_dir / "tmp").iterdir()) == []


def test_ready_with_a_bucket(http: TestClient) -> None:
    assert http.get("/readyz").json()["checks"]["storage"] == "ok"


def test_a_row_is_deleted_even_if_the_bucket_is_away(
    place: Workplace, http: TestClient, request: pytest.FixtureRequest
) -> None:
    upload = http.put("/v1/uploads", content=b"some bytes").json()
    request.getfixturevalue("away")
    with client_of(create_app(place.settings, place.database, place.storage)) as while_away:
        assert while_away.delete(f"/v1/uploads/{upload['id']}").status_code == 204
        assert while_away.get(f"/v1/uploads/{upload['id']}").status_code == 404


def test_a_job_waits_for_another_try_if_the_bucket_is_away(
    place: Workplace, request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]
) -> None:
    job_id = place.new_job()
    request.getfixturevalue("away")
    place.attempt(job_id)
    job = job_of(place.database, job_id)
    assert (job.state, job.setbacks) == ("queued", {"storage_unavailable": 1})
    assert "Traceback" not in "".join(capfd.readouterr())
