"""The HTTP application in this process, and rows as a worker would leave them."""

from typing import Any

import httpx2
from fastapi import FastAPI
from starlette.testclient import TestClient

from core.catalogue.keys import Scope, create_key
from core.db.models import Artifact, Dataset, Job
from core.db.session import Database
from core.db.types import db_now
from core.ids import new_id
from core.storage import Storage
from core.storage.local import LocalStorage
from core.vocabulary import JOB_TERMINAL
from core.work.transitions import move
from tests.support.service import Service

#: A condensation that needs nothing but a data set that is ready.
SMALL: dict[str, Any] = {"ipc": 1, "iterations": 5}


def client_of(
    app: FastAPI, token: str | None = None, *, peer: str = "127.0.0.1", url: str = "http://localhost"
) -> TestClient:
    """A client at `peer`; an unexpected exception of the server is an answer, as for any client."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return TestClient(
        app, base_url=url, client=(peer, 50_000), headers=headers, raise_server_exceptions=False
    )


def token_of(database: Database, owner: str, scope: Scope = "admin") -> str:
    with database.writing() as session:
        return create_key(session, owner, name="test", scope=scope)[1]


def problem_of(response: httpx2.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """The problem that a response must be."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["title"]
    assert problem["detail"]
    assert code is None or problem["code"] == code, problem
    return problem


def upload(http: TestClient, content: bytes = b"some bytes", **parameters: str) -> dict[str, Any]:
    response = http.put("/v1/uploads", content=content, params=parameters)
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def ingesting_dataset(http: TestClient, **body: Any) -> dict[str, Any]:
    made = http.post("/v1/datasets", json={"upload_id": upload(http)["id"], **body})
    assert made.status_code == 202, made.text
    dataset: dict[str, Any] = made.json()
    return dataset


def make_ready(
    database: Database, dataset_id: str, *, per_class: tuple[int, ...] = (10, 10), image_size: int = 32
) -> None:
    """Publish what an ingest publishes."""
    counts = {"train": list(per_class), "test": [2] * len(per_class)}
    manifest = {
        "schema": "condensery.canonical/1",
        "classes": [str(label) for label in range(len(per_class))],
        "image_size": image_size,
        "channels": 1,
        "source_format": "imagefolder",
        "split_rule": "the set's own splits: train, and test as test",
        "splits": {name: {"count": sum(each), "per_class": each} for name, each in counts.items()},
        "mean": [0.5],
        "std": [0.25],
        "content_hash": "ab" * 32,
        "report": {"warnings": [{"code": "small", "detail": "few"}], "suggestions": {"ipc": [1, 5]}},
    }
    with database.writing() as session:
        published = move(
            session, Dataset, dataset_id, "ready",
            manifest=manifest, content_hash=manifest["content_hash"], image_size=image_size,
            images_done=sum(per_class), images_total=sum(per_class), blob_prefix=f"datasets/{dataset_id}/a1",
        )  # fmt: skip
        assert published


def ready_dataset(http: TestClient, database: Database, **shape: Any) -> str:
    dataset_id = str(ingesting_dataset(http)["id"])
    make_ready(database, dataset_id, **shape)
    return dataset_id


def queued_job(http: TestClient, database: Database, **body: Any) -> str:
    dataset_id = ready_dataset(http, database)
    made = http.post("/v1/jobs", json={"dataset_id": dataset_id, **SMALL, **body})
    assert made.status_code == 202, made.text
    return str(made.json()["id"])


def bring(database: Database, job_id: str, *states: str) -> None:
    """Move a job as workers would, from state to state."""
    for state in states:
        held: dict[str, Any] = (
            {} if state in (*JOB_TERMINAL, "queued", "paused") else {"lease_until": db_now(60)}
        )
        with database.writing() as session:
            assert move(session, Job, job_id, state, **held)


def add_artifact(
    database: Database, storage: Storage, job_id: str, content: bytes, *, file_name: str = "set.npz"
) -> Artifact:
    """An artifact of a job, as its export publishes it."""
    key = f"jobs/{job_id}/a1/{new_id('art')}"
    with storage.receive() as receiver:
        receiver.write(content)
        receiver.store(key)
    with database.writing() as session:
        job = session.get_one(Job, job_id)
        artifact = Artifact(
            id=new_id("art"), owner=job.owner, job_id=job_id, fence=1, format=file_name.rpartition(".")[2],
            file_name=file_name, media_type="application/octet-stream", size=receiver.size,
            sha256=receiver.sha256, blob_key=key,
        )  # fmt: skip
        session.add(artifact)
    return artifact


def offer(service: Service, content: bytes) -> str:
    """The path of an artifact with this content, of a service on SQLite without a worker."""
    database = Database(f"sqlite+pysqlite:///{service.data_dir / 'condensery.db'}")
    with httpx2.Client(base_url=service.url) as http:
        upload = http.put("/v1/uploads", content=b"x").json()["id"]
        dataset = http.post("/v1/datasets", json={"upload_id": upload}).json()["id"]
        make_ready(database, dataset)
        job = http.post("/v1/jobs", json={"dataset_id": dataset, **SMALL}).json()["id"]
    made = add_artifact(database, LocalStorage(service.data_dir), job, content)
    database.engine.dispose()
    return f"/v1/artifacts/{made.id}/content"
