"""What an owner may ask of a job over HTTP: pause, resume, delete; and how many there may be."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import func, select
from starlette.testclient import TestClient

from core.db.models import Artifact, Event, Job, Metric
from core.db.session import Database
from core.jobs.control import cancel_job, pause_job, resume_job
from core.settings import Settings
from core.storage.local import LocalStorage
from core.vocabulary import JOB_HELD, JOB_STATES, JOB_TERMINAL, JOB_TRANSITIONS
from core.work.transitions import move
from tests.support.api import SMALL, add_artifact, bring, problem_of, queued_job, ready_dataset
from tests.support.leased import event_types, job_of, new_row, take


def post(http: TestClient, job_id: str, action: str) -> dict[str, Any]:
    response = http.post(f"/v1/jobs/{job_id}/{action}")
    assert response.status_code == 202, response.text
    body: dict[str, Any] = response.json()
    return body


def test_a_queued_job_pauses_at_once_and_waits_again_when_resumed(
    http: TestClient, database: Database
) -> None:
    job_id = queued_job(http, database)
    assert post(http, job_id, "pause")["state"] == "paused"
    assert post(http, job_id, "pause")["state"] == "paused"
    assert post(http, job_id, "resume")["state"] == "queued"
    assert post(http, job_id, "resume")["state"] == "queued"
    assert event_types(database, job_id) == ["queued", "paused", "queued"]
    assert job_of(database, job_id).dispatched_at is not None


def test_a_running_job_is_pausing_until_its_worker_let_go(http: TestClient, database: Database) -> None:
    job_id = queued_job(http, database)
    take(database, job_id)
    assert post(http, job_id, "pause")["state"] == "pausing"
    assert post(http, job_id, "pause")["state"] == "pausing"
    problem = problem_of(http.post(f"/v1/jobs/{job_id}/resume"), 409, "conflict")
    assert problem["job_state"] == "pausing"
    assert post(http, job_id, "cancel")["state"] == "cancelling"
    assert problem_of(http.post(f"/v1/jobs/{job_id}/pause"), 409)["job_state"] == "cancelling"


def test_resuming_forgives_setbacks(http: TestClient, database: Database) -> None:
    job_id = new_row(database, Job, state="paused", setbacks={"storage_full": 3})
    resumed = post(http, job_id, "resume")
    assert (resumed["state"], resumed["setbacks"], resumed["retry_at"]) == ("queued", {}, None)


@pytest.mark.parametrize("state", JOB_STATES)
@pytest.mark.parametrize("action", ["cancel", "pause", "resume"])
def test_every_request_in_every_state(
    database: Database, tmp_path_factory: pytest.TempPathFactory, state: str, action: str
) -> None:
    """The answer is a state that was asked for, or a Conflict that changes nothing."""
    held = state in JOB_HELD
    job_id = new_row(database, Job)
    with database.writing() as session:
        job = session.get_one(Job, job_id)
        job.state = state
        job.lease_until = job.created_at if held else None
    storage = LocalStorage(tmp_path_factory.mktemp("storage"))
    before = len(event_types(database, job_id))
    try:
        with database.writing() as session:
            job = session.get_one(Job, job_id)
            if action == "cancel":
                cancel_job(session, storage, job)
            elif action == "pause":
                pause_job(session, job)
            else:
                resume_job(session, job)
    except Exception as error:
        assert type(error).__name__ == "Conflict"
        assert (job_of(database, job_id).state, len(event_types(database, job_id))) == (state, before)
        return
    after = job_of(database, job_id).state
    assert (
        after
        in {
            "cancel": ("cancelling", "cancelled"),
            "pause": ("pausing", "paused"),
            "resume": ("queued", "running"),
        }[action]
    )
    assert after == state or after in JOB_TRANSITIONS[state]
    assert len(event_types(database, job_id)) == before + (after != state)


def test_only_what_has_ended_can_be_deleted(http: TestClient, database: Database) -> None:
    job_id = queued_job(http, database)
    for state in ("queued", "paused"):
        if state == "paused":
            post(http, job_id, "pause")
        problem = problem_of(http.delete(f"/v1/jobs/{job_id}"), 409)
        assert problem["job_state"] == state and "cancel it first" in problem["detail"]
    post(http, job_id, "cancel")
    assert http.delete(f"/v1/jobs/{job_id}").status_code == 204
    problem_of(http.get(f"/v1/jobs/{job_id}"), 404)
    problem_of(http.delete(f"/v1/jobs/{job_id}"), 404)
    assert event_types(database, job_id) == []


def _finished(http: TestClient, database: Database, storage: LocalStorage) -> str:
    job_id = queued_job(http, database)
    add_artifact(database, storage, job_id, b"bytes")
    bring(database, job_id, "running", "succeeded")
    return job_id


def test_a_deleted_job_leaves_nothing(http: TestClient, database: Database, storage: LocalStorage) -> None:
    job_id = _finished(http, database, storage)
    kept = _finished(http, database, storage)
    assert list(storage.keys(f"jobs/{job_id}"))
    assert http.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert list(storage.keys(f"jobs/{job_id}")) == []
    with database.reading() as session:
        for of_job in (Event.subject_id, Metric.job_id, Artifact.job_id):
            assert session.scalar(select(func.count()).where(of_job == job_id)) == 0
    assert http.get(f"/v1/jobs/{kept}/artifacts").json()["data"]
    assert list(storage.keys(f"jobs/{kept}"))


def test_priority_is_asked_for_and_shown(http: TestClient, database: Database) -> None:
    dataset_id = ready_dataset(http, database)
    body = {"dataset_id": dataset_id, **SMALL}
    assert http.post("/v1/jobs", json=body).json()["priority"] == "normal"
    assert http.post("/v1/jobs", json=body | {"priority": "high"}).json()["priority"] == "high"
    problem_of(http.post("/v1/jobs", json=body | {"priority": "urgent"}), 422)


@pytest.fixture
def limited(app: FastAPI, settings: Settings) -> FastAPI:
    app.state.settings = settings.model_copy(update={"owner_queued_jobs": 3, "owner_stored_bytes": 5000})
    return app


def test_jobs_that_wait_are_limited_and_none_slips_through(
    limited: FastAPI, http: TestClient, database: Database
) -> None:
    body = {"dataset_id": ready_dataset(http, database), **SMALL}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: http.post("/v1/jobs", json=body), range(8)))
    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [429] * 5
    refused = next(answer for answer in answers if answer.status_code == 429)
    problem = problem_of(refused, 429, "too_many_jobs")
    assert (problem["limit"], problem["value"]) == (3, 3)
    accepted = next(answer for answer in answers if answer.status_code == 202).json()["id"]
    with database.writing() as session:
        move(session, Job, accepted, "cancelled")
    assert http.post("/v1/jobs", json=body).status_code == 202


@pytest.mark.usefixtures("limited")
def test_stored_bytes_are_limited(http: TestClient) -> None:
    first = http.put("/v1/uploads", content=b"x" * 3000)
    assert first.status_code == 201
    problem = problem_of(http.put("/v1/uploads", content=b"x" * 3000), 429, "storage_quota_exceeded")
    assert (problem["limit"], problem["value"]) == (5000, 6000)
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "2001"}
    problem_of(http.post("/v1/uploads", headers=tus), 429, "storage_quota_exceeded")
    unannounced = http.put("/v1/uploads", content=iter([b"x" * 1500, b"x" * 1500]))
    assert problem_of(unannounced, 429, "storage_quota_exceeded")["limit"] == 5000
    assert http.post("/v1/uploads", headers=tus | {"Upload-Length": "2000"}).status_code == 201
    usage = http.get("/v1/usage").json()
    assert usage["stored_bytes"] == {
        "uploads": 5000, "datasets": 0, "checkpoints": 0, "snapshots": 0, "artifacts": 0,
        "pools": 0, "total": 5000, "limit": 5000,
    }  # fmt: skip
    made = http.post("/v1/datasets", json={"upload_id": first.json()["id"]})
    problem_of(made, 429, "storage_quota_exceeded")
    assert http.delete(f"/v1/uploads/{first.json()['id']}").status_code == 204
    again = http.put("/v1/uploads", content=b"x" * 2999)
    assert again.status_code == 201
    assert http.post("/v1/datasets", json={"upload_id": again.json()["id"]}).status_code == 202


def test_terminal_states_are_final(database: Database) -> None:
    for state in JOB_TERMINAL:
        job_id = new_row(database, Job, state=state)
        with database.writing() as session:
            assert not any(move(session, Job, job_id, target) for target in JOB_STATES)
