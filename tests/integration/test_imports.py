"""A data set from a path on the server's disk: asked for over HTTP, read by a worker where it lies."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api.app import create_app
from core.data.ingest import ingest
from core.data.limits import Limits
from core.db.models import Dataset
from core.db.session import Database
from tests.support.api import client_of, problem_of, token_of, upload
from tests.support.workplace import Workplace, workplace
from tests.unit.data.builders import Files, folder, make_folder, make_zip

pytestmark = pytest.mark.one_database


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    (tmp_path / "sets").mkdir()
    return tmp_path / "sets"


@pytest.fixture
def place(
    database: Database, database_url: str, tmp_path: Path, sets: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workplace]:
    dirs = json.dumps([str(sets)])
    with workplace(database, database_url, tmp_path / "data", monkeypatch, import_dirs=dirs) as made:
        yield made


@pytest.fixture
def app(place: Workplace) -> FastAPI:
    return create_app(place.settings, place.database, place.storage)


def import_set(http: TestClient, path: Path, **body: Any) -> dict[str, Any]:
    response = http.post("/v1/datasets", json={"path": str(path), **body})
    assert response.status_code == 202, response.text
    made: dict[str, Any] = response.json()
    return made


def ingested(http: TestClient, place: Workplace, dataset_id: str) -> dict[str, Any]:
    place.attempt(dataset_id, Dataset)
    found: dict[str, Any] = http.get(f"/v1/datasets/{dataset_id}").json()
    return found


FILES: Files = folder(each=5)


def test_a_folder_and_a_file_are_read_in_place(
    http: TestClient, place: Workplace, sets: Path, tmp_path: Path
) -> None:
    expected = ingest(make_zip(tmp_path / "zip", FILES), tmp_path / "out", limits=Limits(), channels=4)
    make_folder(sets / "flowers", FILES)
    (sets / "newest.zip").symlink_to(make_zip(sets / "flowers.zip", FILES))
    for name in ("flowers", "newest.zip"):
        made = import_set(http, sets / name, channels=4)
        assert (made["path"], made["upload_id"], made["name"]) == (str(sets / name), None, name)
        dataset = ingested(http, place, made["id"])
        assert (dataset["state"], dataset["channels"], dataset["path"]) == ("ready", 4, str(sets / name))
        assert dataset["content_hash"] == expected.content_hash
    assert list(place.storage.keys("uploads")) == []


def test_channels_are_reported_once_they_are_known(http: TestClient, place: Workplace, sets: Path) -> None:
    make_folder(sets / "flowers", FILES)
    made = import_set(http, sets / "flowers")
    assert made["channels"] is None
    dataset = ingested(http, place, made["id"])
    assert (dataset["channels"], dataset["manifest"]["conversion"]["origin"]) == (3, "native")


def test_the_worker_asks_again_whether_the_path_may_be_read(
    http: TestClient, place: Workplace, sets: Path, tmp_path: Path
) -> None:
    outside = make_folder(tmp_path / "outside", FILES)
    inside = make_folder(sets / "flowers", FILES)
    led_away, removed = import_set(http, inside)["id"], import_set(http, inside)["id"]
    inside.rename(sets / "before")
    inside.symlink_to(outside)
    assert ingested(http, place, led_away)["problem"]["code"] == "path_not_allowed"
    inside.unlink()
    dataset = ingested(http, place, removed)
    assert (dataset["state"], dataset["problem"]["code"]) == ("invalid", "path_not_found")


def test_a_name_that_is_not_utf_8_is_refused_and_can_be_told(
    http: TestClient, place: Workplace, sets: Path
) -> None:
    make_folder(sets / "flowers", FILES)
    with open(bytes(sets / "flowers") + b"/\xff", "wb"):  # noqa: PTH123 (a path of bytes)
        pass
    dataset = ingested(http, place, import_set(http, sets / "flowers")["id"])
    assert (dataset["state"], dataset["problem"]["code"]) == ("invalid", "unsafe_member_name")


def test_refusals(http: TestClient, sets: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").touch()
    for path, code in (
        (tmp_path / "outside", "path_not_allowed"),
        (tmp_path / "absent", "path_not_allowed"),
        (sets / "absent", "path_not_found"),
        (sets / ".." / "outside", "path_not_allowed"),
        ("flowers", "path_not_allowed"),
    ):
        problem = problem_of(http.post("/v1/datasets", json={"path": str(path)}), 422, code)
        assert [one["pointer"] for one in problem["errors"]] == ["/path"]
    for body in ({}, {"path": str(sets), "upload_id": upload(http)["id"]}):
        problem = problem_of(http.post("/v1/datasets", json=body), 422, "invalid_request")
        assert problem["errors"] == [
            {"pointer": "", "detail": "exactly one of upload_id and path must be given"}
        ]
    assert http.get("/v1/datasets").json()["data"] == []


def test_without_the_setting(place: Workplace, sets: Path) -> None:
    closed = place.settings.model_copy(update={"import_dirs": []})
    with client_of(create_app(closed, place.database, place.storage)) as http:
        problem = problem_of(http.post("/v1/datasets", json={"path": str(sets)}), 422, "import_disabled")
        assert "import_dirs" in problem["detail"]


def test_who_may(app: FastAPI, place: Workplace, sets: Path) -> None:
    reader = token_of(place.database, "ann", "read")
    writer = token_of(place.database, "ben", "write")
    body = {"path": str(sets)}
    problem_of(client_of(app, reader).post("/v1/datasets", json=body), 403, "missing_scope")
    assert client_of(app, writer).post("/v1/datasets", json=body).status_code == 202


def test_a_repeated_request_makes_nothing_new(http: TestClient, sets: Path) -> None:
    inside = make_folder(sets / "flowers", FILES)
    headers, body = {"Idempotency-Key": "k"}, {"path": str(inside), "channels": 3}
    first = http.post("/v1/datasets", json=body, headers=headers)
    inside.rename(sets / "gone")
    again = http.post("/v1/datasets", json=body, headers=headers)
    assert (first.status_code, again.status_code, again.json()) == (202, 200, first.json())
    for other in ({"channels": 4}, {"path": str(sets)}):
        response = http.post("/v1/datasets", json=body | other, headers=headers)
        problem_of(response, 422, "idempotency_key_reused")
