"""Uploads: what is stored is what was sent, and what was refused leaves nothing."""

import base64
import hashlib

import pytest
from starlette.testclient import TestClient

from core.db.models import Upload
from core.db.session import Database
from core.settings import Settings
from core.storage.local import LocalStorage
from tests.support.api import ingesting_dataset, make_ready, problem_of, upload

CONTENT = bytes(range(256)) * 1000


def nothing_left(database: Database, settings: Settings, storage: LocalStorage) -> bool:
    with database.reading() as session:
        rows = session.query(Upload).count()
    return rows == 0 and not list(storage.keys()) and not list((settings.data_dir / "tmp").iterdir())


def test_stored_as_it_was_sent(http: TestClient, settings: Settings, storage: LocalStorage) -> None:
    digest = hashlib.sha256(CONTENT)
    announced = f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
    response = http.put(
        "/v1/uploads",
        params={"file_name": "Ziffern ①.zip"},
        content=iter([CONTENT[:7], CONTENT[7:]]),
        headers={"Content-Digest": announced},
    )
    assert response.status_code == 201
    made = response.json()
    assert response.headers["location"] == f"/v1/uploads/{made['id']}"
    assert made["file_name"] == "Ziffern ①.zip"
    assert (made["size"], made["sha256"]) == (len(CONTENT), digest.hexdigest())
    assert storage.path(f"uploads/{made['id']}").read_bytes() == CONTENT
    assert list((settings.data_dir / "tmp").iterdir()) == []
    assert http.get(response.headers["location"]).json() == made


def test_empty_is_refused(
    http: TestClient, database: Database, settings: Settings, storage: LocalStorage
) -> None:
    problem_of(http.put("/v1/uploads", content=b""), 422, "empty_file")
    assert nothing_left(database, settings, storage)


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
def test_larger_than_the_limit_is_refused(
    http: TestClient, database: Database, settings: Settings, storage: LocalStorage, chunked: bool
) -> None:
    limit = settings.max_upload_bytes
    body = b"x" * (limit + 1)
    response = http.put("/v1/uploads", content=iter([body[:limit], body[limit:]]) if chunked else body)
    problem = problem_of(response, 413, "too_large")
    assert problem["limit"] == limit
    assert str(limit) in problem["detail"]
    assert nothing_left(database, settings, storage)


def test_just_at_the_limit_is_taken(http: TestClient, settings: Settings) -> None:
    assert upload(http, b"x" * settings.max_upload_bytes)["size"] == settings.max_upload_bytes


def test_wrong_digest_is_refused(
    http: TestClient, database: Database, settings: Settings, storage: LocalStorage
) -> None:
    other = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    for header in (f"sha-256=:{other}:", f"sha-512=:AAAA:, sha-256=:{other}:", "sha-256=nonsense"):
        response = http.put("/v1/uploads", content=CONTENT, headers={"Content-Digest": header})
        problem = problem_of(response, 422, "digest_mismatch")
        assert problem["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert nothing_left(database, settings, storage)


def test_file_name_is_only_a_name(http: TestClient, storage: LocalStorage) -> None:
    made = upload(http, file_name="../../etc/passwd")
    assert list(storage.keys()) == [f"uploads/{made['id']}"]
    for name in ("", "a\0b", "x" * 256):
        problem = problem_of(http.put("/v1/uploads", params={"file_name": name}, content=b"x"), 422)
        assert [fault["pointer"] for fault in problem["errors"]] == ["?file_name"]


def test_list_is_newest_first(http: TestClient) -> None:
    made = [upload(http, bytes([n]))["id"] for n in range(5)]
    first = http.get("/v1/uploads", params={"limit": 3}).json()
    rest = http.get("/v1/uploads", params={"limit": 3, "after": first["next"]}).json()
    assert [one["id"] for one in first["data"] + rest["data"]] == made[::-1]
    assert (first["has_more"], rest["has_more"], rest["next"]) == (True, False, None)


def test_delete_takes_the_bytes_too(http: TestClient, storage: LocalStorage) -> None:
    path = f"/v1/uploads/{upload(http)['id']}"
    assert http.delete(path).status_code == 204
    assert list(storage.keys()) == []
    problem_of(http.get(path), 404, "not_found")
    problem_of(http.delete(path), 404, "not_found")


def test_delete_while_it_is_ingested_is_refused(http: TestClient, database: Database) -> None:
    dataset = ingesting_dataset(http)
    path = f"/v1/uploads/{dataset['upload_id']}"
    assert dataset["id"] in problem_of(http.delete(path), 409, "conflict")["detail"]
    make_ready(database, dataset["id"])
    assert http.delete(path).status_code == 204
    assert http.get(f"/v1/datasets/{dataset['id']}").json()["upload_id"] is None
