"""Downloads: the right bytes, however they are asked for, and nothing that a browser would run."""

import base64
import hashlib

import pytest
from starlette.testclient import TestClient

from core.db.models import Artifact
from core.db.session import Database
from core.settings import Settings
from core.storage import Storage, storage_of
from tests.support.api import add_artifact, problem_of, queued_job

pytestmark = pytest.mark.one_database

CONTENT = bytes(range(256)) * 9000  # more than two chunks


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest, settings: Settings) -> Storage:
    url = None if request.param == "local" else request.getfixturevalue("bucket")
    return storage_of(settings.model_copy(update={"storage_url": url}))


@pytest.fixture
def artifact(http: TestClient, database: Database, storage: Storage) -> Artifact:
    return add_artifact(database, storage, queued_job(http, database), CONTENT)


@pytest.fixture
def path(artifact: Artifact) -> str:
    return f"/v1/artifacts/{artifact.id}/content"


def test_lists_and_row(http: TestClient, artifact: Artifact, database: Database, storage: Storage) -> None:
    other = add_artifact(database, storage, queued_job(http, database), b"{}", file_name="card.json")
    for query, expected in (
        ("", [other.id, artifact.id]),
        (f"?job_id={artifact.job_id}", [artifact.id]),
        ("?format=json", [other.id]),
        ("?limit=1", [other.id]),
        (f"?after={other.id}", [artifact.id]),
    ):
        assert [one["id"] for one in http.get(f"/v1/artifacts{query}").json()["data"]] == expected
    of_job = http.get(f"/v1/jobs/{artifact.job_id}/artifacts").json()["data"]
    row = http.get(f"/v1/artifacts/{artifact.id}").json()
    assert of_job == [row]
    assert (row["size"], row["sha256"]) == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert not {"owner", "blob_key", "fence"} & set(row)


def test_whole(http: TestClient, path: str) -> None:
    response = http.get(path)
    assert (response.status_code, response.content) == (200, CONTENT)
    digest = hashlib.sha256(CONTENT)
    headers = response.headers
    assert headers["content-length"] == str(len(CONTENT))
    assert headers["etag"] == f'"{digest.hexdigest()}"'
    assert headers["repr-digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
    assert headers["accept-ranges"] == "bytes"
    assert headers["content-disposition"] == 'attachment; filename="set.npz"'
    assert headers["content-type"] == "application/octet-stream"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert headers["cache-control"] == "private, max-age=31536000, immutable"


def test_file_name_beyond_ascii(http: TestClient, database: Database, storage: Storage) -> None:
    hostile = 'z "①\r\nSet-Cookie: x.npz'
    made = add_artifact(database, storage, queued_job(http, database), b"x", file_name=hostile)
    response = http.get(f"/v1/artifacts/{made.id}/content")
    assert response.headers["content-disposition"].startswith("attachment; filename*=utf-8''z%20%22%E2%91%A0")
    assert "set-cookie" not in response.headers


def test_head_is_the_whole_without_a_body(http: TestClient, path: str) -> None:
    head, get = http.head(path), http.get(path)
    assert (head.status_code, head.content) == (200, b"")
    varying = {"x-request-id"}
    assert {k: v for k, v in head.headers.items() if k not in varying} == {
        k: v for k, v in get.headers.items() if k not in varying
    }


RANGES = {
    "bytes=0-0": slice(0, 1),
    "bytes=10-1999999": slice(10, 2_000_000),
    "bytes=2000000-": slice(2_000_000, None),
    "bytes=-5": slice(-5, None),
    "bytes=5-999999999": slice(5, None),
}


def test_range(http: TestClient, path: str) -> None:
    for asked, part in RANGES.items():
        response = http.get(path, headers={"Range": asked})
        assert response.status_code == 206
        assert response.content == CONTENT[part]
        start, stop, _ = part.indices(len(CONTENT))
        assert response.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(CONTENT)}"
        assert response.headers["etag"] == http.head(path).headers["etag"]


def test_range_beyond_the_end(http: TestClient, path: str) -> None:
    response = http.get(path, headers={"Range": f"bytes={len(CONTENT)}-"})
    problem_of(response, 416, "range_not_satisfiable")
    assert response.headers["content-range"] == f"bytes */{len(CONTENT)}"
    assert "etag" not in response.headers


def test_range_that_is_none(http: TestClient, path: str) -> None:
    problem_of(http.get(path, headers={"Range": "bytes=9-3"}), 400, "malformed")


def test_if_none_match(http: TestClient, path: str) -> None:
    etag = http.head(path).headers["etag"]
    for same in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = http.get(path, headers={"If-None-Match": same})
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == etag
    assert http.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_if_range(http: TestClient, path: str) -> None:
    """A part only of the same bytes; of others the whole, or a resumed download would be a mixture."""
    etag = http.head(path).headers["etag"]
    for value, status in ((etag, 206), ('"other"', 200), (f"W/{etag}", 200)):
        response = http.get(path, headers={"Range": "bytes=5-9", "If-Range": value})
        assert response.status_code == status
        assert response.content == (CONTENT[5:10] if status == 206 else CONTENT)


def test_a_range_of_thousands_of_digits_is_not_understood(http: TestClient, path: str) -> None:
    response = http.get(path, headers={"Range": f"bytes={'9' * 5000}-"})
    assert (response.status_code, response.content) == (200, CONTENT)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_was_deleted_after_its_row_was_read_is_absent(
    http: TestClient, path: str, artifact: Artifact, storage: Storage, method: str
) -> None:
    storage.delete(artifact.blob_key)
    response = http.request(method, path)
    assert response.status_code == 404
    if method == "GET":
        problem_of(response, 404, "not_found")


def test_several_ranges_are_the_whole(http: TestClient, path: str) -> None:
    for asked in ("bytes=0-1,5-6", "lines=1-2", "bytes=", "bytes=-", "bytes=a-b"):
        response = http.get(path, headers={"Range": asked})
        assert (response.status_code, response.content) == (200, CONTENT)


def test_nothing_of_an_empty_one(http: TestClient, database: Database, storage: Storage) -> None:
    made = add_artifact(database, storage, queued_job(http, database), b"")
    response = http.get(f"/v1/artifacts/{made.id}/content")
    assert (response.status_code, response.content) == (200, b"")
    problem_of(http.get(f"/v1/artifacts/{made.id}/content", headers={"Range": "bytes=0-"}), 416)
