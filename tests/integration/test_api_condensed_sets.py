"""Condensed sets over HTTP."""

from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from core.db.models import CondensedSet
from core.db.session import Database
from core.settings import Settings
from core.storage.local import LocalStorage
from tests.support.api import (
    add_artifact,
    bring,
    problem_of,
    ready_dataset,
    upload,
)
from tests.support.condensed_sets import PATH, finished_job, request_set
from tests.support.leased import take
from tests.support.sets import PICTURE, add_set, end_reading
from tests.support.tus import TUS


def evaluation(http: TestClient, database: Database, condensed_set_id: str) -> str:
    dataset_id = ready_dataset(http, database, image_size=16)
    body = {"kind": "evaluate", "dataset_id": dataset_id, "condensed_set_id": condensed_set_id}
    response = http.post("/v1/jobs", json=body)
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


def test_asked_for_as_stated(http: TestClient, database: Database) -> None:
    source = upload(http, file_name="res_DM.pt")
    dataset_id = ready_dataset(http, database)
    stated = {"space": "normalised", "of_data_set": True, "experiment": 4}
    body = {"upload_id": source["id"], "dataset_id": dataset_id, "license": "mit", "stated": stated}
    response = http.post(PATH, json=body)
    made = response.json()
    assert response.status_code == 202, made
    assert response.headers["location"] == f"{PATH}/{made['id']}"
    assert (made["state"], made["name"], made["license"]) == ("reading", "res_DM.pt", "mit")
    assert (made["upload_id"], made["dataset_id"], made["job_id"]) == (source["id"], dataset_id, None)
    assert made["stated"] == stated
    assert made["data_hash"] == "ab" * 32
    assert made["manifest"] is None and made["problem"] is None
    assert http.get(response.headers["location"]).json() == made
    assert http.post(PATH, json={**body, "name": "mine"}).json()["name"] == "mine"


def test_an_idempotency_key_makes_one(http: TestClient) -> None:
    body, key = {"upload_id": upload(http)["id"]}, {"Idempotency-Key": "k"}
    first = http.post(PATH, json=body, headers=key)
    again = http.post(PATH, json=body, headers=key)
    assert (again.status_code, again.json()) == (200, first.json())
    other = {**body, "stated": {"factor": 2}}
    problem_of(http.post(PATH, json=other, headers=key), 422, "idempotency_key_reused")
    assert len(http.get(PATH).json()["data"]) == 1


def test_what_it_is_made_of_must_be_there_and_whole(http: TestClient, database: Database) -> None:
    problem_of(http.post(PATH, json={"upload_id": "up_0"}), 404, "not_found")
    begun = http.post("/v1/uploads", headers={**TUS, "Upload-Length": "9"}).json()["id"]
    problem_of(http.post(PATH, json={"upload_id": begun}), 409, "upload_not_complete")
    whole = upload(http)["id"]
    problem_of(http.post(PATH, json={"upload_id": whole, "dataset_id": "ds_0"}), 404, "not_found")
    ingesting = http.post("/v1/datasets", json={"upload_id": whole}).json()["id"]
    body = {"upload_id": whole, "dataset_id": ingesting}
    problem_of(http.post(PATH, json=body), 409, "dataset_not_ready")
    assert http.get(PATH).json()["data"] == []


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"uploadid": "x"}, "/uploadid"),
    ({"license": ""}, "/license"),
    ({"name": "a\0"}, "/name"),
    ({"stated": {"space": "unknown"}}, "/stated/space"),
    ({"stated": {"mean": []}}, "/stated/mean"),
    ({"stated": {"mean": [0.1] * 5}}, "/stated/mean"),
    ({"stated": {"factor": 0}}, "/stated/factor"),
    ({"stated": {"factor": 9}}, "/stated/factor"),
    ({"stated": {"experiment": -1}}, "/stated/experiment"),
    ({"stated": {"labels": "soft"}}, "/stated/labels"),
    ({"stated": {"class_order": []}}, "/stated/class_order"),
    ({"stated": {"colour": "red"}}, "/stated/colour"),
]


def test_faulty_bodies(http: TestClient) -> None:
    upload_id = upload(http)["id"]
    for fault, pointer in FAULTS:
        response = http.post(PATH, json={"upload_id": upload_id, **fault})
        problem = problem_of(response, 422, "invalid_request")
        assert [one["pointer"] for one in problem["errors"]] == [pointer]
    assert http.get(PATH).json()["data"] == []


def test_a_full_owner_may_add_none(app: FastAPI, http: TestClient) -> None:
    upload_id = upload(http)["id"]
    settings: Settings = app.state.settings
    app.state.settings = settings.model_copy(update={"owner_stored_bytes": 1})
    problem_of(http.post(PATH, json={"upload_id": upload_id}), 429, "storage_quota_exceeded")


def test_listed_newest_first_by_page_state_and_job(
    http: TestClient, database: Database, storage: LocalStorage
) -> None:
    job_id = finished_job(http, database)
    of_job = add_set(database, storage, job_id=job_id)
    made = [of_job, *(request_set(http)["id"] for _ in range(4))]
    found: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = http.get(PATH, params={"limit": 2, **after}).json()
        found += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            break
        after = {"after": page["next"]}
    assert found == made[::-1]
    for parameters, expected in (
        ({"state": "ready"}, [of_job]),
        ({"state": "reading"}, made[:0:-1]),
        ({"state": "invalid"}, []),
        ({"job_id": job_id}, [of_job]),
        ({"job_id": "job_0"}, []),
    ):
        answer = http.get(PATH, params=parameters).json()["data"]
        assert [one["id"] for one in answer] == expected, parameters
    problem_of(http.get(PATH, params={"state": "done"}), 422, "invalid_request")


def test_facts_files_and_preview_of_one_that_is_ready(
    http: TestClient, database: Database, storage: LocalStorage
) -> None:
    made = add_set(database, storage)
    answer = http.get(f"{PATH}/{made}").json()
    assert (answer["classes"], answer["channels"], answer["image_size"]) == (2, 1, 16)
    assert (answer["stored"], answer["decoded"], answer["form"]) == (2, 2, "pixels")
    assert answer["manifest"] == {"classes": ["0", "1"], "mean": [0.5], "std": [0.25]}
    files = http.get(f"{PATH}/{made}/artifacts").json()["data"]
    assert [one["format"] for one in files] == ["safetensors", "preview"]
    assert {(one["condensed_set_id"], one["job_id"]) for one in files} == {(made, None)}
    content = http.get(f"/v1/artifacts/{files[0]['id']}/content")
    assert (content.status_code, len(content.content)) == (200, files[0]["size"])
    preview = http.get(f"{PATH}/{made}/preview")
    assert (preview.status_code, preview.content) == (200, PICTURE)
    assert preview.headers["content-type"] == "image/png"
    same = http.get(f"{PATH}/{made}/preview", headers={"If-None-Match": preview.headers["etag"]})
    assert same.status_code == 304


def test_one_that_is_not_ready_has_no_preview_and_no_files(http: TestClient, database: Database) -> None:
    made = request_set(http)["id"]
    assert http.get(f"{PATH}/{made}/artifacts").json()["data"] == []
    problem_of(http.get(f"{PATH}/{made}/preview"), 409, "conflict")
    why = {
        "code": "condensed_set_unclear",
        "detail": "What are its pixels?",
        "findings": [{"answer": "space"}],
    }
    end_reading(database, made, "invalid", problem=why)
    problem = problem_of(http.get(f"{PATH}/{made}/preview"), 409, "conflict")
    assert "What are its pixels?" in problem["detail"]
    answer = http.get(f"{PATH}/{made}").json()
    assert (answer["state"], answer["problem"]) == ("invalid", why)


def test_history_and_stream(http: TestClient, database: Database, storage: LocalStorage) -> None:
    made = request_set(http)["id"]
    end_reading(database, made)
    events = http.get(f"{PATH}/{made}/events").json()["data"]
    assert [(one["seq"], one["type"]) for one in events] == [(1, "reading"), (2, "claimed"), (3, "ready")]
    stream = http.get(f"{PATH}/{made}/events/stream").text
    kinds = [line.removeprefix("event: ") for line in stream.splitlines() if line.startswith("event:")]
    assert kinds == ["reading", "claimed", "ready", "end"]
    rest = http.get(f"{PATH}/{made}/events/stream", headers={"Last-Event-ID": "2"}).text
    assert [line for line in rest.splitlines() if line.startswith("event:")] == ["event: ready", "event: end"]


def test_stream_of_one_that_a_job_made_ends_at_once(
    http: TestClient, database: Database, storage: LocalStorage
) -> None:
    made = add_set(database, storage, job_id=finished_job(http, database))
    assert http.get(f"{PATH}/{made}/events").json()["data"] == []
    stream = http.get(f"{PATH}/{made}/events/stream").text
    assert [line for line in stream.splitlines() if line.startswith("event:")] == ["event: end"]


def test_delete_takes_rows_and_files(http: TestClient, database: Database, storage: LocalStorage) -> None:
    made, kept = add_set(database, storage), add_set(database, storage)
    assert http.delete(f"{PATH}/{made}").status_code == 204
    problem_of(http.get(f"{PATH}/{made}"), 404, "not_found")
    problem_of(http.delete(f"{PATH}/{made}"), 404, "not_found")
    assert [one["condensed_set_id"] for one in http.get("/v1/artifacts").json()["data"]] == [kept] * 2
    assert {key.split("/")[1] for key in storage.keys("condensed")} == {kept}


def test_delete_of_a_jobs_set_leaves_the_job_and_its_other_files(
    http: TestClient, database: Database, storage: LocalStorage
) -> None:
    job_id = finished_job(http, database)
    other = add_artifact(database, storage, job_id, b"a snapshot, say")
    made = add_set(database, storage, job_id=job_id)
    assert http.get(f"/v1/jobs/{job_id}").json()["made_set_id"] == made
    assert http.delete(f"{PATH}/{made}").status_code == 204
    job = http.get(f"/v1/jobs/{job_id}").json()
    assert (job["state"], job["made_set_id"]) == ("succeeded", None)
    assert list(storage.keys("jobs")) == [other.blob_key]


def test_delete_is_refused_while_a_job_needs_it(
    http: TestClient, database: Database, storage: LocalStorage
) -> None:
    made = add_set(database, storage)
    job_id = evaluation(http, database, made)
    for states in ((), ("running",), ("cancelling",)):
        bring(database, job_id, *states)
        problem = problem_of(http.delete(f"{PATH}/{made}"), 409, "conflict")
        assert problem["job_id"] == job_id
    bring(database, job_id, "cancelled")
    assert http.delete(f"{PATH}/{made}").status_code == 204
    assert http.get(f"/v1/jobs/{job_id}").json()["condensed_set_id"] is None
    assert list(storage.keys("condensed")) == []


def test_nothing_that_is_being_read_goes(http: TestClient, database: Database) -> None:
    dataset_id = ready_dataset(http, database)
    made = request_set(http, dataset_id=dataset_id)
    for path in (f"/v1/uploads/{made['upload_id']}", f"/v1/datasets/{dataset_id}"):
        assert made["id"] in problem_of(http.delete(path), 409, "conflict")["detail"]
    take(database, made["id"], CondensedSet)
    problem_of(http.delete(f"{PATH}/{made['id']}"), 409, "conflict")


def test_one_that_waits_may_be_deleted(http: TestClient) -> None:
    made = request_set(http)
    assert http.delete(f"{PATH}/{made['id']}").status_code == 204
    assert http.delete(f"/v1/uploads/{made['upload_id']}").status_code == 204


def test_a_merged_or_uploaded_set_can_be_evaluated(
    http: TestClient, database: Database, storage: LocalStorage
) -> None:
    made = add_set(database, storage)
    job_id = evaluation(http, database, made)
    assert http.get(f"/v1/jobs/{job_id}").json()["condensed_set_id"] == made
