"""Data sets over HTTP."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi import FastAPI
from sqlalchemy import text
from starlette.testclient import TestClient
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from core.catalogue.datasets import delete_dataset
from core.db.models import Dataset, Job
from core.db.session import Database
from core.engine.recipes import RECIPES
from core.storage.local import LocalStorage
from core.work.transitions import move
from tests.support.api import (
    SMALL,
    bring,
    client_of,
    ingesting_dataset,
    make_ready,
    problem_of,
    ready_dataset,
    upload,
)
from tests.support.leased import take


def pages(http: TestClient, path: str, **parameters: Any) -> list[list[dict[str, Any]]]:
    """Every page of a list."""
    found = []
    while True:
        page = http.get(path, params=parameters).json()
        found.append(page["data"])
        if not page["has_more"]:
            assert page["next"] is None
            return found
        parameters["after"] = page["next"]


def test_created_as_asked(http: TestClient) -> None:
    source = upload(http, file_name="digits.zip")
    body = {"upload_id": source["id"], "image_size": 32, "seed": 7}
    response = http.post("/v1/datasets", json=body)
    assert response.status_code == 202
    made = response.json()
    assert response.headers["location"] == f"/v1/datasets/{made['id']}"
    assert (made["state"], made["name"], made["image_size"]) == ("ingesting", "digits.zip", 32)
    assert made["upload_id"] == source["id"]
    assert made["manifest"] is None
    assert http.get(response.headers["location"]).json() == made
    assert http.post("/v1/datasets", json={**body, "name": "mine"}).json()["name"] == "mine"


def test_the_licence_is_kept_as_it_is_stated(http: TestClient) -> None:
    assert ingesting_dataset(http)["license"] is None
    made = ingesting_dataset(http, license="© 我们, ask first")
    assert made["license"] == "© 我们, ask first"
    body = {"upload_id": made["upload_id"]}
    key = {"Idempotency-Key": "k"}
    first = http.post("/v1/datasets", json={**body, "license": "mit"}, headers=key)
    again = http.post("/v1/datasets", json={**body, "license": "mit"}, headers=key)
    assert (again.status_code, again.json()) == (200, first.json())
    problem_of(http.post("/v1/datasets", json=body, headers=key), 422, "idempotency_key_reused")


def test_unknown_upload(http: TestClient) -> None:
    problem_of(http.post("/v1/datasets", json={"upload_id": "up_0"}), 404, "not_found")


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"image_size": 15}, "/image_size"),
    ({"image_size": 257}, "/image_size"),
    ({"image_size": 32.5}, "/image_size"),
    ({"seed": -1}, "/seed"),
    ({"seed": 2**64}, "/seed"),
    ({"imagesize": 32}, "/imagesize"),
    ({"license": ""}, "/license"),
    ({"license": "x" * 201}, "/license"),
    ({"license": "mit\n"}, "/license"),
    ({"upload_id": None}, ""),
    ({"path": "/srv/sets/flowers"}, ""),
    ({"path": ""}, "/path"),
    ({"path": "/srv/a\0b"}, "/path"),
    ({"channels": 2}, "/channels"),
]


def test_faulty_bodies(http: TestClient) -> None:
    upload_id = upload(http)["id"]
    for fault, pointer in FAULTS:
        response = http.post("/v1/datasets", json={"upload_id": upload_id, **fault})
        problem = problem_of(response, 422, "invalid_request")
        assert [one["pointer"] for one in problem["errors"]] == [pointer]
    assert http.get("/v1/datasets").json()["data"] == []


def test_pages_have_no_gap_and_no_double(http: TestClient, database: Database) -> None:
    made = [ingesting_dataset(http)["id"] for _ in range(11)]
    for limit in (1, 4, 11, 200):
        found = pages(http, "/v1/datasets", limit=limit)
        assert [row["id"] for page in found for row in page] == made[::-1]
        assert all(len(page) <= limit for page in found)


def test_rows_added_while_paging_do_not_shift_the_pages(http: TestClient) -> None:
    made = [ingesting_dataset(http)["id"] for _ in range(4)]
    first = http.get("/v1/datasets", params={"limit": 2}).json()
    ingesting_dataset(http)
    rest = http.get("/v1/datasets", params={"limit": 2, "after": first["next"]}).json()
    assert [row["id"] for row in first["data"] + rest["data"]] == made[::-1]


def test_filter_by_state(http: TestClient, database: Database) -> None:
    waiting, ready = ingesting_dataset(http)["id"], ready_dataset(http, database)
    for state, expected in (("ready", [ready]), ("ingesting", [waiting]), ("invalid", [])):
        found = http.get("/v1/datasets", params={"state": state}).json()["data"]
        assert [row["id"] for row in found] == expected


def test_events_and_stream_of_one_that_is_ready(http: TestClient, database: Database) -> None:
    dataset_id = ready_dataset(http, database)
    events = http.get(f"/v1/datasets/{dataset_id}/events").json()["data"]
    assert [(event["seq"], event["type"]) for event in events] == [(1, "ingesting"), (2, "ready")]
    stream = http.get(f"/v1/datasets/{dataset_id}/events/stream").text
    assert [line for line in stream.splitlines() if line.startswith("event:")] == [
        "event: ingesting",
        "event: ready",
        "event: end",
    ]


def test_preview_needs_a_ready_one(http: TestClient, database: Database, storage: LocalStorage) -> None:
    dataset_id = str(ingesting_dataset(http)["id"])
    path = f"/v1/datasets/{dataset_id}/preview"
    problem_of(http.get(path), 409, "conflict")
    make_ready(database, dataset_id)
    with storage.scratch() as folder:
        (folder / "preview.png").write_bytes(b"\x89PNG")
        storage.put(f"datasets/{dataset_id}/a1/preview.png", folder / "preview.png")
    preview = http.get(path)
    assert (preview.status_code, preview.content) == (200, b"\x89PNG")
    assert preview.headers["content-type"] == "image/png"


def test_report_says_what_jobs_will_cost_and_how_long_once_one_has_ended(
    http: TestClient, database: Database
) -> None:
    dataset_id = str(ingesting_dataset(http)["id"])
    path = f"/v1/datasets/{dataset_id}/report"
    problem_of(http.get(path), 409, "conflict")
    make_ready(database, dataset_id)
    report = http.get(path).json()
    assert report["warnings"] == [{"code": "small", "detail": "few"}]
    assert report["splits"]["train"] == {"count": 20, "per_class": [10, 10]}
    costs = report["costs"]
    asked = [(cost["recipe"], cost["ipc"], cost["iterations"]) for cost in costs]
    assert asked == [(name, ipc, recipe.iterations) for name, recipe in RECIPES.items() for ipc in (1, 5)]
    assert all(cost["condensation_flops"] > 0 and cost["memory_bytes"] > 0 for cost in costs)
    assert {cost["seconds"] for cost in costs} == {None}

    def has_run(flops_per_iteration: float, flops_per_second: float) -> None:
        job = http.post("/v1/jobs", json={"dataset_id": dataset_id, **SMALL}).json()["id"]
        bring(database, job, "running")
        speed = {"flops_per_iteration": flops_per_iteration, "flops_per_second": flops_per_second}
        with database.writing() as session:
            assert move(session, Job, job, "succeeded", result=speed)

    def seconds_of_the_first() -> float | None:
        return http.get(path).json()["costs"][0]["seconds"]  # type: ignore[no-any-return]

    first = costs[0]
    flops = first["condensation_flops"] / first["iterations"]
    has_run(flops / 11, 1e9)
    assert seconds_of_the_first() is None, "much smaller ones do not show what the device can do"
    has_run(2 * flops, 1e11)
    has_run(2 * flops, 1e12)  # of two that are as near, the newer one
    has_run(9 * flops, 1e13)
    assert seconds_of_the_first() == (first["condensation_flops"] + first["evaluation_flops"]) / 1e12


def test_delete_takes_the_files_too(http: TestClient, database: Database, storage: LocalStorage) -> None:
    dataset_id = ready_dataset(http, database)
    with storage.scratch() as folder:
        (folder / "x").write_bytes(b"x")
        storage.put(f"datasets/{dataset_id}/a1/x", folder / "x")
    assert http.delete(f"/v1/datasets/{dataset_id}").status_code == 204
    assert list(storage.keys("datasets")) == []
    problem_of(http.get(f"/v1/datasets/{dataset_id}"), 404, "not_found")
    problem_of(http.delete(f"/v1/datasets/{dataset_id}"), 404, "not_found")


def test_delete_is_refused_while_a_job_needs_it(http: TestClient, database: Database) -> None:
    dataset_id = ready_dataset(http, database)
    job = http.post("/v1/jobs", json={"dataset_id": dataset_id, **SMALL}).json()
    for states in ((), ("running",), ("cancelling",)):
        bring(database, job["id"], *states)
        problem = problem_of(http.delete(f"/v1/datasets/{dataset_id}"), 409, "conflict")
        assert problem["job_id"] == job["id"]
    bring(database, job["id"], "cancelled")
    assert http.delete(f"/v1/datasets/{dataset_id}").status_code == 204
    assert http.get(f"/v1/jobs/{job['id']}").json()["dataset_id"] is None


def test_delete_is_refused_while_a_worker_reads_it(http: TestClient, database: Database) -> None:
    """What the worker is about to publish would be nobody's."""
    dataset_id = str(ingesting_dataset(http)["id"])
    take(database, dataset_id, Dataset)
    problem_of(http.delete(f"/v1/datasets/{dataset_id}"), 409, "conflict")
    with database.writing() as session:
        assert move(session, Dataset, dataset_id, "invalid", problem={"code": "x", "detail": "x"})
    assert http.delete(f"/v1/datasets/{dataset_id}").status_code == 204


def test_delete_of_one_that_waits(http: TestClient) -> None:
    dataset = ingesting_dataset(http)
    assert http.delete(f"/v1/datasets/{dataset['id']}").status_code == 204
    assert http.delete(f"/v1/uploads/{dataset['upload_id']}").status_code == 204


def test_job_made_while_its_data_set_is_deleted(
    app: FastAPI, http: TestClient, database: Database, storage: LocalStorage
) -> None:
    """It waits for the deletion, then finds nothing: never a job without a data set."""
    dataset_id = ready_dataset(http, database)
    body = {"dataset_id": dataset_id, **SMALL}
    with ThreadPoolExecutor(1) as pool:
        with database.writing() as session:
            delete_dataset(session, storage, "local", dataset_id)
            answer = pool.submit(client_of(app).post, "/v1/jobs", json=body)
            if database.engine.dialect.name == "postgresql":
                assert somebody_waits(database)
        problem_of(answer.result(), 404, "not_found")
    assert http.get("/v1/jobs").json()["data"] == []


@retry(stop=stop_after_delay(60), wait=wait_fixed(0.02), retry=retry_if_result(lambda waits: not waits))
def somebody_waits(database: Database) -> bool:
    statement = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with database.reading() as session:
        return bool(session.scalar(statement))
