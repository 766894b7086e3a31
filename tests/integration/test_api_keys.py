"""Who is let in, and what a key opens."""

from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import FastAPI
from sqlalchemy import select
from starlette.testclient import TestClient

from core.catalogue.keys import create_key
from core.db.models import ApiKey, Base
from core.db.session import Database
from core.ids import new_id
from tests.support.api import client_of, problem_of, token_of, upload


def first_key(http: TestClient, **body: Any) -> dict[str, Any]:
    response = http.post("/v1/keys", json={"name": "first", "scope": "admin", **body})
    assert response.status_code == 201, response.text
    key: dict[str, Any] = response.json()
    assert response.headers["location"] == f"/v1/keys/{key['id']}"
    return key


def test_without_keys_this_machine_is_served(app: FastAPI) -> None:
    for host in ("localhost", "127.0.0.1", "[::1]", "localhost:8000", "127.0.0.1:8000", "[::1]:8000"):
        for peer in ("127.0.0.1", "127.9.9.9", "::1"):
            with client_of(app, peer=peer, url=f"http://{host}") as http:
                assert http.get("/v1/jobs").status_code == 200


def test_without_keys_nobody_else_is_served(app: FastAPI) -> None:
    for peer in ("10.0.0.9", "192.168.1.7", "fe80::1", "testclient", ""):
        with client_of(app, peer=peer) as http:
            problem_of(http.get("/v1/jobs"), 403, "local_only")
            problem_of(http.post("/v1/keys", json={"name": "x"}), 403, "local_only")
            assert http.get("/healthz").status_code == 200


def test_without_keys_no_other_name_is_served(app: FastAPI) -> None:
    """Or a web page whose name resolves to 127.0.0.1 could act for its visitor."""
    for name in (
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "localhost:1.evil.example",
        "",
    ):
        with client_of(app) as http:
            problem_of(http.get("/v1/jobs", headers={"Host": name}), 403, "local_only")


def test_first_key_closes_the_door(app: FastAPI, http: TestClient) -> None:
    upload(http)
    key = first_key(http)
    response = http.get("/v1/uploads")
    problem_of(response, 401, "unauthenticated")
    assert response.headers["www-authenticate"] == 'Bearer realm="condensery"'
    with client_of(app, key["token"], peer="10.0.0.9", url="https://condensery.example") as remote:
        assert len(remote.get("/v1/uploads").json()["data"]) == 1


def test_another_process_learns_of_the_first_key(app: FastAPI, http: TestClient, database: Database) -> None:
    assert http.get("/v1/jobs").status_code == 200
    token_of(database, "somebody")
    problem_of(http.get("/v1/jobs"), 401)


def test_invalid_keys_are_not_told_apart(app: FastAPI, http: TestClient, database: Database) -> None:
    token = first_key(http)["token"]
    key_id, _, secret = token.partition(".")
    with database.writing() as session:
        past = datetime.now(UTC) - timedelta(seconds=1)
        _, expired = create_key(session, "local", name="x", scope="admin", expires_at=past)
    with client_of(app, token) as admin:
        revoked = first_key(admin)
        assert admin.delete(f"/v1/keys/{revoked['id']}").status_code == 204
    wrong = {
        "secret": f"{key_id}.{secret[:-1]}{'A' if secret[-1] != 'A' else 'B'}",
        "no secret": key_id,
        "empty secret": f"{key_id}.",
        "id": f"{new_id('key')}.{secret}",
        "nothing": ".",
        "expired": expired,
        "revoked": revoked["token"],
    }
    bodies = []
    for bad in wrong.values():
        with client_of(app, bad) as http:
            response = http.get("/v1/jobs")
            problem = problem_of(response, 401, "unauthenticated")
            assert response.headers["www-authenticate"]
            bodies.append({k: v for k, v in problem.items() if k != "request_id"})
    assert all(body == bodies[0] for body in bodies)
    for header in ("Basic bG9jYWw6eA==", "Bearer", token):
        problem_of(http.get("/v1/jobs", headers={"Authorization": header}), 401)


def test_key_works_until_it_expires(app: FastAPI, database: Database) -> None:
    with database.writing() as session:
        soon = datetime.now(UTC) + timedelta(hours=1)
        _, token = create_key(session, "local", name="x", scope="read", expires_at=soon)
    with client_of(app, token) as http:
        assert http.get("/v1/jobs").status_code == 200


def test_scopes(app: FastAPI, database: Database) -> None:
    tokens = {scope: token_of(database, "me", scope) for scope in ("read", "write", "admin")}
    calls: dict[str, tuple[str, str, dict[str, Any]]] = {
        "read": ("GET", "/v1/uploads", {}),
        "write": ("PUT", "/v1/uploads", {"content": b"x"}),
        "admin": ("POST", "/v1/keys", {"json": {"name": "x"}}),
    }
    ranks = list(tokens)
    for scope, token in tokens.items():
        with client_of(app, token) as http:
            for needed, (method, path, content) in calls.items():
                response = http.request(method, path, **content)
                if ranks.index(scope) >= ranks.index(needed):
                    assert response.is_success
                else:
                    assert needed in problem_of(response, 403, "missing_scope")["detail"]


def test_writer_may_do_nothing_with_keys(app: FastAPI, database: Database) -> None:
    token_of(database, "me")
    with client_of(app, token_of(database, "me", "write")) as http:
        key_id = token_of(database, "me").partition(".")[0]
        for method, path in (("GET", ""), ("POST", ""), ("GET", f"/{key_id}"), ("DELETE", f"/{key_id}")):
            body: dict[str, Any] = {"json": {"name": "x"}} if method == "POST" else {}
            problem_of(http.request(method, f"/v1/keys{path}", **body), 403, "missing_scope")


def test_token_is_shown_once_and_kept_nowhere(app: FastAPI, http: TestClient, database: Database) -> None:
    key = first_key(http)
    token = key.pop("token")
    with client_of(app, token) as admin:
        shown = [admin.get(f"/v1/keys/{key['id']}").json(), admin.get("/v1/keys").json()["data"][0]]
    for one in shown:
        assert {**one, "last_used_at": None} == key
        assert one["last_used_at"] is not None
    secret = token.partition(".")[2]
    assert len(secret) >= 43  # 256 bits
    with database.reading() as session:
        everything = [
            str(row) for table in Base.metadata.sorted_tables for row in session.execute(select(table))
        ]
    assert any(key["id"] in row for row in everything)
    assert not any(secret in row for row in everything)


def test_revoking_the_last_key_does_not_reopen_the_door(app: FastAPI, http: TestClient) -> None:
    key = first_key(http)
    with client_of(app, key["token"]) as admin:
        assert admin.delete(f"/v1/keys/{key['id']}").status_code == 204
        problem_of(admin.get("/v1/keys"), 401)
    problem_of(http.get("/v1/keys"), 401)


def test_revoked_key_stays_in_the_list(app: FastAPI, http: TestClient, database: Database) -> None:
    first = first_key(http)
    with client_of(app, first["token"]) as admin:
        second = first_key(admin)
        path = f"/v1/keys/{second['id']}"
        assert [admin.delete(path).status_code for _ in range(2)] == [204, 204]
        listed = admin.get("/v1/keys").json()["data"]
    assert [(one["id"], one["revoked_at"] is None) for one in listed] == [
        (second["id"], False),
        (first["id"], True),
    ]


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"scope": "root"}, "/scope"),
    ({"owner": "a b"}, "/owner"),
    ({"owner": "x" * 65}, "/owner"),
    ({"expires_at": "2030-01-01T00:00:00"}, "/expires_at"),
    ({"expires_at": "9999-12-31T23:59:59-12:00"}, "/expires_at"),
    ({"expires_at": "tomorrow"}, "/expires_at"),
    ({"secret": "mine"}, "/secret"),
]


def test_faulty_bodies(http: TestClient, database: Database) -> None:
    for fault, pointer in FAULTS:
        problem = problem_of(http.post("/v1/keys", json={"name": "x", **fault}), 422, "invalid_request")
        assert [one["pointer"] for one in problem["errors"]] == [pointer]
    with database.reading() as session:
        assert session.scalars(select(ApiKey)).all() == []


def test_key_of_another_owner(app: FastAPI, http: TestClient, database: Database) -> None:
    upload(http)
    token = first_key(http, owner="team-b", expires_at="2999-01-01T02:00:00+02:00")["token"]
    with client_of(app, token) as other:
        assert other.get("/v1/uploads").json()["data"] == []
        listed = other.get("/v1/keys").json()["data"]
    assert [(key["owner"], key["expires_at"]) for key in listed] == [("team-b", "2999-01-01T00:00:00Z")]
