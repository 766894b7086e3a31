"""Every error is a problem that names what, where and the limit, under the id of its request."""

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from api.app import create_app
from core.catalogue.idempotency import remember
from core.db.session import Database
from core.settings import Settings
from core.storage.local import LocalStorage
from tests.support.api import client_of, problem_of
from tests.support.servers import free_port

pytestmark = pytest.mark.one_database

#: Bodies that would do, but for the test's own fault.
POSTS: dict[str, dict[str, Any]] = {
    "/v1/jobs": {"dataset_id": "ds_0", "ipc": 1},
    "/v1/datasets": {"upload_id": "up_0"},
    "/v1/keys": {},
}
READS = (
    "/v1/uploads/{}",
    "/v1/datasets/{}",
    "/v1/datasets/{}/preview",
    "/v1/datasets/{}/events/stream",
    "/v1/jobs/{}",
    "/v1/jobs/{}/events",
    "/v1/jobs/{}/events/stream",
    "/v1/jobs/{}/metrics",
    "/v1/artifacts/{}/content",
    "/v1/keys/{}",
)
BAD_QUERIES = {
    "/v1/uploads?limit=0": "?limit",
    "/v1/uploads?limit=201": "?limit",
    "/v1/datasets?limit=x": "?limit",
    "/v1/datasets?state=nonsense": "?state",
    "/v1/jobs?after=%00": "?after",
    "/v1/jobs?dataset_id=%00": "?dataset_id",
    "/v1/artifacts?format=%00": "?format",
    "/v1/artifacts?job_id=%00": "?job_id",
    "/v1/jobs/job_0/events?after=-1": "?after",
    "/v1/jobs/job_0/metrics?limit=10001": "?limit",
}


def test_unknown_path(http: TestClient) -> None:
    problem_of(http.get("/v1/nonsense"), 404, "not_found")


def test_method_that_a_path_does_not_have(http: TestClient) -> None:
    response = http.patch("/v1/jobs")
    problem_of(response, 405, "method_not_allowed")
    assert response.headers["allow"]


def test_request_id_of_the_client_is_kept_if_it_is_harmless(http: TestClient) -> None:
    assert http.get("/healthz", headers={"X-Request-ID": "abc-1.2_3"}).headers["x-request-id"] == "abc-1.2_3"
    for hostile in ("a b", 'a"b', "x" * 65, ""):
        given = http.get("/healthz", headers={"X-Request-ID": hostile}).headers["x-request-id"]
        assert given != hostile
        assert len(given) == 32


def test_every_answer_has_protective_headers(http: TestClient) -> None:
    for response in (http.get("/healthz"), http.get("/v1/jobs"), http.get("/nonsense")):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", POSTS)
def test_broken_json(http: TestClient, path: str) -> None:
    for body in (b'{"ipc": ', b"\xff\xfe", b"[" * 100_000, b'{"ipc": ' + b"9" * 5000 + b"}"):
        response = http.post(path, content=body, headers={"Content-Type": "application/json"})
        problem_of(response, 400, "malformed")


def test_body_of_another_type_is_not_read_as_json(http: TestClient) -> None:
    """A web page may send text/plain to another site without asking first."""
    for path in POSTS:
        response = http.post(path, content=b'{"name": "x"}', headers={"Content-Type": "text/plain"})
        problem_of(response, 415, "unsupported_media_type")


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
def test_body_over_the_limit(http: TestClient, settings: Settings, chunked: bool) -> None:
    body = b'{"name": "' + b"x" * settings.max_body_bytes + b'"}'
    for path in POSTS:
        response = http.post(
            path,
            content=iter([body[:1000], body[1000:]]) if chunked else body,
            headers={"Content-Type": "application/json"},
        )
        problem = problem_of(response, 413, "too_large")
        assert problem["limit"] == settings.max_body_bytes
        assert str(settings.max_body_bytes) in problem["detail"]


def test_body_over_the_limit_for_a_path_that_does_not_exist(http: TestClient, settings: Settings) -> None:
    problem_of(http.post("/v1/nonsense", content=b"x" * (settings.max_body_bytes + 1)), 413, "too_large")


def test_id_of_nothing(http: TestClient) -> None:
    for path in READS:
        for name in ("job_0", "%00", "%F0%9F%90%B1", "x" * 3000, "%27%20OR%201=1"):
            problem_of(http.get(path.format(name)), 404, "not_found")


def test_bad_query(http: TestClient) -> None:
    for path, name in BAD_QUERIES.items():
        problem = problem_of(http.get(path), 422, "invalid_request")
        assert [fault["pointer"] for fault in problem["errors"]] == [name]


def test_name_that_no_database_or_reader_could_take(http: TestClient) -> None:
    for path, body in POSTS.items():
        for name in ("a\0b", "a\nb", "", "x" * 201, "\ud800", 7):
            content = json.dumps({**body, "name": name})
            response = http.post(path, content=content, headers={"Content-Type": "application/json"})
            problem = problem_of(response, 422, "invalid_request")
            assert [fault["pointer"] for fault in problem["errors"]] == ["/name"]


def test_unexpected_exception_is_a_problem_without_a_trace(app: FastAPI) -> None:
    @app.get("/v1/broken")
    def broken() -> None:
        raise RuntimeError("a secret of the inside")

    with client_of(app) as http:
        response = http.get("/v1/broken", headers={"X-Request-ID": "find-me"})
    problem = problem_of(response, 500, "internal")
    assert problem["request_id"] == "find-me"
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    assert response.headers["x-content-type-options"] == "nosniff"


def addresses_of_nothing(folder: Path) -> list[str]:
    postgres = make_url("postgresql+psycopg://nobody@127.0.0.1/none").set(port=free_port())
    return [f"sqlite+pysqlite:///{folder}", postgres.render_as_string()]


def test_database_that_is_away(settings: Settings, storage: LocalStorage, tmp_path: Path) -> None:
    for address in addresses_of_nothing(tmp_path):
        app = create_app(settings, Database(address), storage)
        with client_of(app) as http:
            for response in (
                http.get("/v1/jobs"),
                http.post(
                    "/v1/jobs", json={"dataset_id": "ds_0", "ipc": 1}, headers={"Idempotency-Key": "k"}
                ),
                http.put("/v1/uploads", content=b"x"),
            ):
                assert response.headers["retry-after"]
                problem = problem_of(response, 503, "database_unavailable")
                assert "127.0.0.1" not in problem["detail"]
            assert http.get("/healthz").status_code == 200
            ready = http.get("/readyz")
            assert ready.status_code == 503
            checks = {"database": "unreachable", "storage": "ok", "broker": "ok"}
            assert ready.json()["checks"] == checks


def test_database_that_is_away_is_not_taken_for_a_key_in_flight(tmp_path: Path) -> None:
    for address in addresses_of_nothing(tmp_path):
        with pytest.raises(OperationalError), Database(address).writing() as session:
            remember(session, "local", "key", {}, "job_0")


def test_service_is_ready_on_a_migrated_database(http: TestClient) -> None:
    ready = http.get("/readyz")
    assert ready.status_code == 200
    checks = {"database": "ok", "storage": "ok", "broker": "ok"}
    assert ready.json() == {"status": "ready", "checks": checks, "workers": None}
