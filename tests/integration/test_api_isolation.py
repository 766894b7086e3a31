"""Every route of the application × everything that is no right to call it: a new route is tested, too."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.testclient import TestClient

from core.catalogue.keys import Scope, create_key
from core.db.session import Database
from core.ids import new_id
from core.storage.local import LocalStorage
from tests.support.api import SMALL, client_of, problem_of
from tests.support.calls import Operation, content_of
from tests.support.populated import ITERATION, Rows, populate

#: What anybody may see, and FastAPI's own.
PUBLIC = {"/", "/healthz", "/readyz", "/openapi.json"}
LISTS = {
    "/v1/uploads",
    "/v1/datasets",
    "/v1/jobs",
    "/v1/condensed-sets",
    "/v1/artifacts",
    "/v1/keys",
    "/v1/webhooks",
}
#: What makes something of one's own, or tells something, without naming another row.
MAKES = {
    ("PUT", "/v1/uploads"): 201,
    ("POST", "/v1/uploads"): 201,
    ("POST", "/v1/keys"): 201,
    ("POST", "/v1/webhooks"): 201,
}
SPEAKS = {
    ("OPTIONS", "/v1/uploads"): 204,
    ("GET", "/v1/usage"): 200,
    ("GET", "/v1/workers"): 200,
    ("GET", "/metrics"): 200,
}
#: What is of the whole service, or makes keys.
ADMINS = ("/v1/keys", "/v1/workers", "/metrics")
#: What can be done only where something else was done first: nothing is learned of a row that is one's own.
FORBIDDEN_TO: dict[Scope, Callable[[Operation], bool]] = {
    "read": lambda operation: (
        (operation[0] in ("PUT", "POST", "PATCH", "DELETE") and operation != ("POST", "/v1/jobs/validate"))
        or operation == ("HEAD", "/v1/uploads/{upload_id}")
        or operation[1].startswith(ADMINS)
    ),
    "write": lambda operation: operation[1].startswith(ADMINS),
}


def operations(app: FastAPI) -> list[Operation]:
    """(method, path template)"""
    found = sorted(
        (method, str(route.path))
        for route in iter_route_contexts(app.routes)
        for method in route.methods or ()
        if route.path not in PUBLIC and route.include_in_schema  # the pages: test_pages.py
    )
    assert len(found) >= 32
    documented = {(m.upper(), p) for p, ms in app.openapi()["paths"].items() for m in ms if p not in PUBLIC}
    assert set(found) == documented
    return found


@pytest.fixture
def rows(http: TestClient, database: Database, storage: LocalStorage, app: FastAPI) -> Iterator[Rows]:
    with client_of(app) as owner:
        yield populate(owner, database, storage, "owner", 1)


def call(
    http: TestClient, operation: Operation, named: dict[str, str], bodies: dict[str, str] | None = None
) -> httpx2.Response:
    """`named` is in the path, `bodies` (by default the same) in the body."""
    method, path = operation
    return http.request(
        method, path.format(**named, iteration=ITERATION), **content_of(operation, bodies or named)
    )


def refused(operation: Operation, response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The problem, less what differs from call to call."""
    if operation[0] == "HEAD":
        assert response.status_code == status, operation
        return {}
    problem = problem_of(response, status, code)
    del problem["request_id"]
    return problem


def keys_that_are_none(app: FastAPI, database: Database, rows: Rows) -> dict[str, str | None]:
    key_id, _, secret = rows.token.partition(".")
    with database.writing() as session:
        past = datetime.now(UTC) - timedelta(seconds=1)
        _, expired = create_key(session, "owner", name="x", scope="admin", expires_at=past)
    with client_of(app, rows.token) as owner:
        revoked = owner.post("/v1/keys", json={"name": "x", "scope": "admin"}).json()
        assert owner.delete(f"/v1/keys/{revoked['id']}").status_code == 204
    return {
        "none": None,
        "malformed": "nonsense",
        "of another secret": f"{key_id}.{secret[::-1]}",
        "expired": expired,
        "revoked": revoked["token"],
    }


def test_without_a_valid_key(app: FastAPI, database: Database, rows: Rows) -> None:
    for name, token in keys_that_are_none(app, database, rows).items():
        with client_of(app, token) as http:
            for operation in operations(app):
                response = call(http, operation, rows.first())
                assert response.status_code == 401, (name, operation, response.text)
                assert response.headers["www-authenticate"]
                refused(operation, response, 401, "unauthenticated")
    assert_untouched(app, rows)


@pytest.mark.parametrize("scope", FORBIDDEN_TO)
def test_with_too_narrow_a_scope(app: FastAPI, database: Database, rows: Rows, scope: Scope) -> None:
    with database.writing() as session:
        _, token = create_key(session, "owner", name="x", scope=scope)
    tried = 0
    with client_of(app, token) as http:
        for operation in operations(app):
            if FORBIDDEN_TO[scope](operation):
                refused(operation, call(http, operation, rows.first()), 403, "missing_scope")
                tried += 1
            elif operation[0] == "GET" and not operation[1].endswith("/stream"):
                response = call(http, operation, rows.first())
                assert response.status_code == 200, (operation, response.text)
    assert tried >= {"read": 13, "write": 4}[scope]
    assert_untouched(app, rows)


def ids_of_nothing(rows: Rows) -> dict[str, dict[str, str]]:
    """For each way to name what is not one's own, an id for every parameter."""
    kinds = rows.first()
    prefixes = {
        "upload_id": "up",
        "dataset_id": "ds",
        "job_id": "job",
        "condensed_set_id": "cs",
        "artifact_id": "art",
        "key_id": "key",
        "webhook_id": "wh",
        "delivery_id": "dlv",
    }
    turned = dict(zip(kinds, [*list(kinds.values())[1:], kinds["key_id"]], strict=True))
    return {
        "another owner's": kinds,
        "of nothing": {kind: new_id(prefix) for kind, prefix in prefixes.items()},  # type: ignore[arg-type]
        "of another kind": turned,
        "malformed": dict.fromkeys(kinds, "%27%20OR%201=1"),
        "a NUL": dict.fromkeys(kinds, "%00"),
        "endless": dict.fromkeys(kinds, "x" * 3000),
    }


def test_ids_that_are_not_the_callers(app: FastAPI, database: Database, rows: Rows) -> None:
    """The owner's rows are as absent as rows that never were: answered alike, but for the id itself."""
    with database.writing() as session:
        _, token = create_key(session, "stranger", name="x", scope="admin")
    answers: dict[Operation, list[dict[str, Any]]] = {}
    with client_of(app, token) as stranger:
        for name, named in ids_of_nothing(rows).items():
            in_bodies = (
                named if name in ("another owner's", "of nothing", "of another kind") else rows.first()
            )
            for operation in operations(app):
                response = call(stranger, operation, named, in_bodies)
                if operation[0] == "GET" and operation[1] in LISTS:
                    shown = {row["id"] for row in response.json()["data"]}
                    assert not shown & set(every_id(rows))
                elif operation in MAKES | SPEAKS:
                    assert response.status_code == (MAKES | SPEAKS)[operation]
                else:
                    problem = refused(operation, response, 404, "not_found")
                    assert "owner" not in str(problem)
                    if name in ("another owner's", "of nothing"):
                        for one in named.values():
                            problem = {k: str(v).replace(one, "…") for k, v in problem.items()}
                        answers.setdefault(operation, []).append(problem)
    assert len(answers) >= 23
    for operation, (first, second) in answers.items():
        assert first == second, operation
    assert_untouched(app, rows)


def test_filters_and_cursors_show_nothing_of_others(app: FastAPI, database: Database, rows: Rows) -> None:
    with database.writing() as session:
        _, token = create_key(session, "stranger", name="x", scope="admin")
    beyond = {kind: f"{one.partition('_')[0]}_{'f' * 32}" for kind, one in rows.first().items()}
    with client_of(app, token) as stranger:
        for path, name in (("/v1/jobs", "dataset_id"), ("/v1/artifacts", "job_id")):
            assert stranger.get(path, params={name: rows.first()[name]}).json()["data"] == []
        for path in LISTS - {"/v1/keys"}:
            for after in (*rows.first().values(), *beyond.values()):
                page = stranger.get(path, params={"after": after}).json()
                assert page == {"data": [], "has_more": False, "next": None}
        usage = stranger.get("/v1/usage").json()
        assert (usage["stored_bytes"]["total"], usage["jobs"]["queued"], usage["jobs"]["running"]) == (
            0,
            0,
            0,
        )
        shown = stranger.get("/v1/keys", params={"after": beyond["key_id"]}).json()["data"]
        assert [row["owner"] for row in shown] == ["stranger"]


def test_a_strangers_idempotency_key_is_another(app: FastAPI, database: Database, rows: Rows) -> None:
    key = {"Idempotency-Key": "k"}
    body = {"dataset_id": rows.dataset_id[0], **SMALL}
    with client_of(app, rows.token) as owner:
        made = owner.post("/v1/jobs", json=body, headers=key)
        assert made.status_code == 202
    with database.writing() as session:
        _, token = create_key(session, "stranger", name="x", scope="admin")
    with client_of(app, token) as stranger:
        problem_of(stranger.post("/v1/jobs", json=body, headers=key), 404, "not_found")
        upload_id = stranger.put("/v1/uploads", content=b"x").json()["id"]
        own = stranger.post("/v1/datasets", json={"upload_id": upload_id}, headers=key)
        assert own.status_code == 202
        assert own.json()["id"] not in every_id(rows)


def every_id(rows: Rows) -> list[str]:
    return [one for ids in (*vars(rows).values(),) if isinstance(ids, list) for one in ids]


def assert_untouched(app: FastAPI, rows: Rows) -> None:
    with client_of(app, rows.token) as owner:
        for name, row_id in rows.first().items():
            folder = f"{name.removesuffix('_id').replace('_', '-')}s"
            if name == "delivery_id":
                folder = f"webhooks/{rows.webhook_id[0]}/deliveries"
            kept = owner.get(f"/v1/{folder}/{row_id}")
            assert kept.status_code == 200
            assert kept.json().get("state") in (None, "complete", "ready", "succeeded", "pending")
            assert kept.json().get("revoked_at") is None
