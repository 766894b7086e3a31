"""Every route of the OpenAPI document, without a key and with a stranger's: a new one is tested, too."""

from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from core.db.session import Database
from core.storage.local import LocalStorage
from tests.support.api import SMALL, add_artifact, client_of, problem_of, queued_job, token_of

#: What anybody may see.
PUBLIC = {"/", "/healthz", "/readyz"}
LISTS = {"/v1/uploads", "/v1/datasets", "/v1/jobs", "/v1/artifacts", "/v1/webhooks", "/v1/keys"}

TUS = {"Tus-Resumable": "1.0.0"}
HOOK = {"url": "https://example.com/hook"}

Operation = tuple[str, str]


def operations(app: FastAPI) -> list[Operation]:
    """(method, path template)"""
    found = [
        (method.upper(), path)
        for path, methods in app.openapi()["paths"].items()
        for method in methods
        if path not in PUBLIC
    ]
    assert len(found) >= 25
    return found


@pytest.fixture
def owners_rows(app: FastAPI, http: TestClient, database: Database, storage: LocalStorage) -> dict[str, str]:
    """One row of each kind that belongs to `owner`, by the name of its path parameter."""
    token = token_of(database, "owner")
    with client_of(app, token) as owner:
        job = owner.get(f"/v1/jobs/{queued_job(owner, database)}").json()
        dataset = owner.get(f"/v1/datasets/{job['dataset_id']}").json()
        webhook = owner.post("/v1/webhooks", json=HOOK).json()
        delivery = owner.post(f"/v1/webhooks/{webhook['id']}/test").json()
    return {
        "webhook_id": webhook["id"],
        "delivery_id": delivery["id"],
        "upload_id": dataset["upload_id"],
        "dataset_id": dataset["id"],
        "job_id": job["id"],
        "artifact_id": add_artifact(database, storage, job["id"], b"x").id,
        "key_id": token.partition(".")[0],
    }


def content_of(operation: Operation, rows: dict[str, str]) -> dict[str, Any]:
    """A body that would do, if the caller were the owner."""
    bodies: dict[Operation, dict[str, Any]] = {
        ("PUT", "/v1/uploads"): {"content": b"x"},
        ("POST", "/v1/uploads"): {"headers": {**TUS, "Upload-Length": "1"}},
        ("OPTIONS", "/v1/uploads"): {"headers": TUS},
        ("HEAD", "/v1/uploads/{upload_id}"): {"headers": TUS},
        ("PATCH", "/v1/uploads/{upload_id}"): {
            "headers": {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"},
            "content": b"x",
        },
        ("POST", "/v1/datasets"): {"json": {"upload_id": rows["upload_id"]}},
        ("POST", "/v1/jobs"): {"json": {"dataset_id": rows["dataset_id"], **SMALL}},
        ("POST", "/v1/keys"): {"json": {"name": "x"}},
        ("POST", "/v1/webhooks"): {"json": HOOK},
        ("PATCH", "/v1/webhooks/{webhook_id}"): {"json": {"enabled": False}},
    }
    return bodies.get(operation, {})


def test_without_a_key(app: FastAPI, http: TestClient, owners_rows: dict[str, str]) -> None:
    for method, path in operations(app):
        response = http.request(method, path.format(**owners_rows), **content_of((method, path), owners_rows))
        if method == "HEAD":
            assert response.status_code == 401
            continue
        problem_of(response, 401, "unauthenticated")


def test_with_a_strangers_key(app: FastAPI, database: Database, owners_rows: dict[str, str]) -> None:
    """The owner's rows are as absent as rows that never were."""
    makes = {
        ("PUT", "/v1/uploads"),
        ("POST", "/v1/uploads"),
        ("POST", "/v1/keys"),
        ("POST", "/v1/webhooks"),
    }  # of one's own, without naming another row
    with client_of(app, token_of(database, "stranger")) as stranger:
        for method, path in operations(app):
            content = content_of((method, path), owners_rows)
            response = stranger.request(method, path.format(**owners_rows), **content)
            if method == "GET" and path in LISTS:
                shown = [row["id"] for row in response.json()["data"]]
                assert not set(shown) & set(owners_rows.values())
            elif (method, path) in makes:
                assert response.status_code == 201
            elif path == "/v1/usage":
                assert response.json()["jobs"]["queued"] == 0
            elif method == "OPTIONS":
                assert response.status_code == 204
            elif method == "HEAD":
                assert response.status_code == 404
            else:
                problem = problem_of(response, 404, "not_found")
                assert "owner" not in str(problem)
        for path, name in (("/v1/jobs", "dataset_id"), ("/v1/artifacts", "job_id")):
            assert stranger.get(path, params={name: owners_rows[name]}).json()["data"] == []
    with client_of(app, token_of(database, "owner")) as owner:
        folders = {name: f"{name.removesuffix('_id')}s" for name in owners_rows}
        folders["delivery_id"] = f"webhooks/{owners_rows['webhook_id']}/deliveries"
        for name, row_id in owners_rows.items():
            kept = owner.get(f"/v1/{folders[name]}/{row_id}")
            assert kept.status_code == 200
            assert kept.json().get("state") in (None, "complete", "ready", "queued", "pending")
            assert kept.json().get("enabled") in (None, True)
            assert kept.json().get("revoked_at") is None


def test_a_strangers_idempotency_key_is_another(
    app: FastAPI, database: Database, owners_rows: dict[str, str]
) -> None:
    key = {"Idempotency-Key": "k"}
    made = []
    for owner in ("a", "b"):
        with client_of(app, token_of(database, owner)) as http:
            upload_id = http.put("/v1/uploads", content=b"x").json()["id"]
            made.append(http.post("/v1/datasets", json={"upload_id": upload_id}, headers=key))
    assert [response.status_code for response in made] == [202, 202]
