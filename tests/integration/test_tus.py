"""Resumable uploads: every rule of tus 1.0 that we announce."""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from core.db.session import Database
from core.settings import Settings
from core.storage.local import LocalStorage
from tests.support.api import client_of, problem_of, token_of
from tests.support.tus import (
    CONTENT,
    DAY,
    SHA256,
    TUS,
    begun,
    checksum,
    head,
    id_of,
    metadata,
    offset,
    partial_files,
    patch,
    post,
)

pytestmark = pytest.mark.one_database


def test_what_is_spoken(http: TestClient, settings: Settings) -> None:
    answer = http.options("/v1/uploads")
    assert answer.status_code == 204
    assert answer.headers["tus-version"] == "1.0.0"
    assert answer.headers["tus-extension"] == "creation,expiration,checksum,termination"
    assert answer.headers["tus-max-size"] == str(settings.max_upload_bytes)
    assert answer.headers["tus-checksum-algorithm"] == "sha256,sha1,md5"


def test_another_version_is_refused(http: TestClient, settings: Settings) -> None:
    path = begun(http)
    wrong = {**TUS, "Tus-Resumable": "0.2.2"}
    for method, where in (("POST", "/v1/uploads"), ("HEAD", path), ("PATCH", path), ("DELETE", path)):
        for headers in (wrong, {}) if method != "DELETE" else (wrong,):
            answer = http.request(
                method, where, headers={"Upload-Length": "1", "Upload-Offset": "0", **headers}
            )
            assert answer.status_code == 412
            assert answer.headers["tus-version"] == answer.headers["tus-resumable"] == "1.0.0"
    assert partial_files(settings) == {id_of(path): 0}


def test_a_plain_post_is_told_what_to_do(http: TestClient) -> None:
    detail = problem_of(http.post("/v1/uploads", content=b"bytes"), 412, "precondition_failed")["detail"]
    assert "PUT it to /v1/uploads" in detail
    assert "Tus-Resumable: 1.0.0, as tus clients send it" in detail


def test_begun(http: TestClient) -> None:
    given = metadata(filename="Ziffern ①.zip", filetype="application/zip") | {"X-Other": "1"}
    given["Upload-Metadata"] += ",is_confidential"
    made = post(http, **given)
    assert made.status_code == 201
    upload = made.json()
    path = made.headers["location"]
    assert path == f"/v1/uploads/{upload['id']}"
    assert (upload["state"], upload["offset"], upload["size"]) == ("receiving", 0, len(CONTENT))
    assert (upload["file_name"], upload["sha256"]) == ("Ziffern ①.zip", None)
    expires = parsedate_to_datetime(made.headers["upload-expires"])
    assert abs(expires - datetime.now(UTC) - timedelta(seconds=DAY)) < timedelta(minutes=1)
    assert http.get(path).json() == upload
    assert [one["id"] for one in http.get("/v1/uploads").json()["data"]] == [upload["id"]]
    answer = head(http, path)
    assert answer.headers["upload-offset"] == "0"
    assert answer.headers["upload-length"] == str(len(CONTENT))
    assert answer.headers["upload-metadata"] == given["Upload-Metadata"]
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "status", "code", "words"),
    [
        ({"Upload-Length": "9999999999"}, 413, "too_large", "the limit is 1048576"),
        ({"Upload-Length": "0"}, 422, "invalid_request", "upload-length"),
        ({"Upload-Length": "-1"}, 422, "invalid_request", "upload-length"),
        ({"Upload-Length": "many"}, 422, "invalid_request", "upload-length"),
        ({}, 422, "invalid_request", "upload-length"),
        ({"Upload-Defer-Length": "1"}, 422, "invalid_request", "upload-length"),
        (
            {"Upload-Length": "1", "Upload-Metadata": "filename ?"},
            400,
            "malformed",
            "'filename' is not Base64",
        ),
        ({"Upload-Length": "1", "Upload-Metadata": "a ,a "}, 400, "malformed", "'a' is given twice"),
        ({"Upload-Length": "1", "Upload-Metadata": "a,,b"}, 400, "malformed", "empty"),
        ({"Upload-Length": "1", **metadata(filename="a\nb")}, 422, "invalid_request", "control character"),
        ({"Upload-Length": "1", **metadata(filename="x" * 256)}, 422, "invalid_request", "255"),
        ({"Upload-Length": "1", **metadata(filename=b"\xff")}, 422, "invalid_request", "UTF-8"),
        ({"Upload-Length": "1", **metadata(sha256="12")}, 422, "invalid_request", "64 hexadecimal"),
    ],
    ids=lambda value: None if isinstance(value, dict | int) else str(value)[:20],
)
def test_refused_at_the_beginning(
    http: TestClient, settings: Settings, headers: dict[str, str], status: int, code: str, words: str
) -> None:
    answer = http.post("/v1/uploads", headers={**TUS, **headers})
    assert words in problem_of(answer, status, code)["detail"]
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert partial_files(settings) == {}


def test_in_pieces_to_the_same_as_at_once(
    http: TestClient, settings: Settings, storage: LocalStorage
) -> None:
    path = begun(http, metadata(filename="a.zip", sha256=SHA256.upper()))
    for start, end in ((0, 1), (1, 100_000), (100_000, len(CONTENT))):
        answer = patch(http, path, start, CONTENT[start:end])
        assert answer.status_code == 204, answer.text
        assert answer.headers["upload-offset"] == str(end)
        assert ("upload-expires" in answer.headers) == (end < len(CONTENT))
        assert offset(http, path) == end
    upload = http.get(path).json()
    assert (upload["state"], upload["offset"], upload["size"]) == ("complete", len(CONTENT), len(CONTENT))
    assert (upload["sha256"], upload["file_name"], upload["expires_at"]) == (SHA256, "a.zip", None)
    assert storage.path(f"uploads/{upload['id']}").read_bytes() == CONTENT
    assert partial_files(settings) == {}
    assert http.post("/v1/datasets", json={"upload_id": upload["id"]}).status_code == 202


def test_no_data_set_of_a_part(http: TestClient) -> None:
    path = begun(http)
    patch(http, path, 0, CONTENT[:7])
    refused = http.post("/v1/datasets", json={"upload_id": id_of(path)})
    assert "is not complete yet" in problem_of(refused, 409, "upload_not_complete")["detail"]


def test_wrong_offset(http: TestClient) -> None:
    path = begun(http)
    patch(http, path, 0, CONTENT[:7])
    for wrong in (0, 6, 8):
        problem = problem_of(patch(http, path, wrong, CONTENT[7:]), 409, "offset_mismatch")
        assert (problem["offset"], problem["value"]) == (7, wrong)
    assert patch(http, path, 7, CONTENT[7:]).status_code == 204
    problem_of(patch(http, path, len(CONTENT), b"x"), 409, "upload_complete")


def test_wrong_content_type(http: TestClient) -> None:
    path = begun(http)
    answer = patch(http, path, 0, CONTENT, **{"Content-Type": "application/octet-stream"})
    problem_of(answer, 415, "unsupported_media_type")
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert offset(http, path) == 0


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
def test_longer_than_announced(http: TestClient, chunked: bool) -> None:
    path = begun(http)
    patch(http, path, 0, CONTENT[:7])
    rest = [CONTENT[7:], b"x"]
    answer = patch(http, path, 7, iter(rest) if chunked else b"".join(rest))
    assert problem_of(answer, 413, "too_large")["limit"] == len(CONTENT) - 7
    assert offset(http, path) == 7
    assert patch(http, path, 7, CONTENT[7:]).status_code == 204
    assert http.get(path).json()["sha256"] == SHA256


@pytest.mark.parametrize("algorithm", ["sha256", "sha1", "md5"])
def test_checksum_of_a_piece(http: TestClient, algorithm: str) -> None:
    path = begun(http)
    taken = patch(http, path, 0, CONTENT[:7], **checksum(CONTENT[:7], algorithm))
    assert (taken.status_code, taken.headers["upload-offset"]) == (204, "7")
    wrong = patch(http, path, 7, CONTENT[7:], **checksum(b"other", algorithm))
    assert problem_of(wrong, 460, "checksum_mismatch")["title"] == "Checksum Mismatch"
    assert offset(http, path) == 7
    assert patch(http, path, 7, CONTENT[7:], **checksum(CONTENT[7:], algorithm)).status_code == 204
    assert http.get(path).json()["sha256"] == SHA256


@pytest.mark.parametrize("header", ["crc32 AAAA", "sha1 ?", "sha1 AAAA", "sha1", ""])
def test_checksum_that_is_none(http: TestClient, header: str) -> None:
    path = begun(http)
    problem_of(patch(http, path, 0, CONTENT, **{"Upload-Checksum": header}), 400, "malformed")
    assert offset(http, path) == 0


def test_other_bytes_than_announced_can_be_sent_again(http: TestClient, storage: LocalStorage) -> None:
    path = begun(http, metadata(sha256=SHA256))
    problem = problem_of(patch(http, path, 0, CONTENT[::-1]), 422, "digest_mismatch")
    assert problem["sha256"] == hashlib.sha256(CONTENT[::-1]).hexdigest()
    assert offset(http, path) == 0
    assert list(storage.keys()) == []
    assert patch(http, path, 0, CONTENT).status_code == 204
    assert http.get(path).json()["state"] == "complete"


def test_behind_a_proxy_that_knows_no_patch(http: TestClient) -> None:
    path = begun(http)
    headers = {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    answer = http.post(path, content=CONTENT, headers={**headers, "X-HTTP-Method-Override": "PATCH"})
    assert (answer.status_code, answer.headers["upload-offset"]) == (204, str(len(CONTENT)))
    problem_of(http.post(path, headers=headers), 405, "method_not_allowed")
    assert http.post(path, headers={**TUS, "X-HTTP-Method-Override": "DELETE"}).status_code == 204
    problem_of(http.get(path), 404)


def test_a_strangers_is_absent(app: FastAPI, database: Database) -> None:
    with client_of(app, token_of(database, "owner")) as owner:
        path = begun(owner)
        with client_of(app, token_of(database, "stranger")) as stranger:
            assert head(stranger, path).status_code == 404
            problem_of(patch(stranger, path, 0, CONTENT), 404, "not_found")
            problem_of(stranger.delete(path, headers=TUS), 404, "not_found")
            assert stranger.get("/v1/uploads").json()["data"] == []
        assert offset(owner, path) == 0


def test_no_byte_is_read_of_who_may_not(app: FastAPI, http: TestClient, database: Database) -> None:
    path = begun(http)
    token_of(database, "somebody")
    names = {"Host": "localhost", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "PATCH",
        "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "client": ("127.0.0.1", 1), "server": ("localhost", 80),
        "headers": [(k.lower().encode(), v.encode()) for k, v in (names | TUS).items()],
    }  # fmt: skip
    answers = []

    async def receive() -> Any:
        raise AssertionError("the body was asked for")

    async def send(message: Any) -> None:
        answers.append(message)

    asyncio.run(app(scope, receive, send))
    assert answers[0]["status"] == 401


def test_one_key_begins_one_upload(http: TestClient, settings: Settings) -> None:
    key = {"Idempotency-Key": "k", **metadata(filename="set.zip")}
    path = begun(http, key)
    assert patch(http, path, 0, CONTENT[:1000]).status_code == 204
    again = post(http, **key)
    assert (again.status_code, again.headers["location"], again.json()["offset"]) == (200, path, 1000)
    assert partial_files(settings) == {id_of(path): 1000}
    assert begun(http, metadata(filename="set.zip")) != path
    for other in ({"Upload-Length": "7"}, metadata(filename="other.zip")):
        problem_of(post(http, **{**key, **other}), 422, "idempotency_key_reused")
