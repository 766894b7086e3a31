"""Jobs over HTTP."""

from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient

from core.db.models import Event, IdempotencyKey, Job
from core.db.session import Database
from core.engine.recipes import RECIPES
from tests.support.api import (
    SMALL,
    bring,
    ingesting_dataset,
    problem_of,
    queued_job,
    ready_dataset,
)
from tests.support.leased import done_trial


def counted(database: Database) -> tuple[int, int]:
    """(jobs, keys)"""
    with database.reading() as session:
        jobs = session.scalar(select(func.count()).select_from(Job))
        keys = session.scalar(select(func.count()).select_from(IdempotencyKey))
        return int(jobs or 0), int(keys or 0)


def test_created_with_everything_resolved(http: TestClient, database: Database) -> None:
    dataset_id = ready_dataset(http, database, image_size=32)
    response = http.post("/v1/jobs", json={"dataset_id": dataset_id, "ipc": 10, "name": "mine"})
    assert response.status_code == 202
    job = response.json()
    assert response.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["state"], job["phase"], job["name"]) == ("queued", "condense", "mine")
    assert (job["dataset_id"], job["data_hash"]) == (dataset_id, "ab" * 32)
    assert job["spec"]["network"]["depth"] == 3
    assert job["spec"]["lr"] > 0
    assert job["spec"]["ipc"] == 10
    assert job["evaluations"] == []
    assert http.get(response.headers["location"]).json() == job


def test_a_recipe_fills_in_what_was_left_open(http: TestClient, database: Database) -> None:
    body = {"dataset_id": ready_dataset(http, database), "ipc": 2, "recipe": "fast", "batch_real": 3}
    job = http.post("/v1/jobs", json=body).json()
    expected = RECIPES["fast"].settings(2) | {"recipe": "fast", "batch_real": 3}
    with database.reading() as session:
        stored = session.get_one(Job, job["id"]).spec
        queued = session.scalars(select(Event).where(Event.subject_id == job["id"])).one()
    assert stored == job["spec"]
    assert {name: stored[name] for name in expected} == expected
    assert queued.data["iterations"] == expected["iterations"]


def test_an_unknown_recipe_is_answered_with_those_there_are(http: TestClient, database: Database) -> None:
    body = {"dataset_id": ready_dataset(http, database), **SMALL, "recipe": "slow"}
    (error,) = problem_of(http.post("/v1/jobs", json=body), 422, "invalid_request")["errors"]
    assert error["pointer"] == "/recipe"
    assert all(repr(name) in error["detail"] for name in (*RECIPES, "slow"))


def test_depth_follows_the_image_size(http: TestClient, database: Database) -> None:
    depths = []
    for image_size in (16, 32, 64, 128):
        dataset_id = ready_dataset(http, database, image_size=image_size)
        job = http.post("/v1/jobs", json={"dataset_id": dataset_id, **SMALL}).json()
        depths.append(job["spec"]["network"]["depth"])
    assert depths == sorted(set(depths))


def test_data_set_that_is_not_ready(http: TestClient) -> None:
    body = {"dataset_id": ingesting_dataset(http)["id"], **SMALL}
    problem = problem_of(http.post("/v1/jobs", json=body), 409, "dataset_not_ready")
    assert problem["dataset_state"] == "ingesting"
    problem_of(http.post("/v1/jobs", json={**body, "dataset_id": "ds_0"}), 404, "not_found")


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"ipc": 0}, "/ipc"),
    ({"ipc": 10**9}, "/ipc"),
    ({"ipc": "many"}, "/ipc"),
    ({"ipc": None}, "/ipc"),
    ({"iterations": 0}, "/iterations"),
    ({"batch_size": 4}, "/batch_size"),
    ({"network": {"widht": 4}}, "/network/widht"),
    ({"network": {"width": 0}}, "/network/width"),
    ({"evaluation": {"baselines": ["random", "magic"]}}, "/evaluation/baselines/1"),
    ({"evaluation": {"nets": 3}}, "/evaluation/nets"),
    ({"a/b~c": 1}, "/a~1b~0c"),
    ({"augment": "color_nonsense"}, "/augment"),
    ({"augment": "x" * 81}, "/augment"),
    ({"recipe": "dc"}, "/recipe"),
    ({"seed": -1}, "/seed"),
    ({"lr": -1}, "/lr"),
    ({"lr_decay": 1.5}, "/lr_decay"),
]


def test_faulty_bodies(http: TestClient, database: Database) -> None:
    dataset_id = ready_dataset(http, database)
    for fault, pointer in FAULTS:
        response = http.post("/v1/jobs", json={"dataset_id": dataset_id, **SMALL, **fault})
        problem = problem_of(response, 422, "invalid_request")
        assert [one["pointer"] for one in problem["errors"]] == [pointer]
        assert pointer in problem["detail"]
    assert counted(database) == (0, 0)


def test_every_fault_of_a_body_is_named_at_once(http: TestClient) -> None:
    problem = problem_of(http.post("/v1/jobs", json={"ipc": 0, "network": {"width": 0}, "x": 1}), 422)
    pointers = {one["pointer"] for one in problem["errors"]}
    assert pointers == {"/dataset_id", "/ipc", "/network/width", "/x"}


def test_number_that_is_none(http: TestClient, database: Database) -> None:
    """Python's JSON reads more than JSON has."""
    dataset_id = ready_dataset(http, database)
    numbers, fields = ("NaN", "Infinity", "-Infinity", "1e400"), ("lr", "momentum", "ipc", "seed")
    for number, field in product(numbers, fields):
        body = f'{{"dataset_id": "{dataset_id}", "ipc": 1, "{field}": {number}}}'
        response = http.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
        problem = problem_of(response, 422, "invalid_request")
        assert [one["pointer"] for one in problem["errors"]] == [f"/{field}"]


def test_more_images_than_the_set_can_give(http: TestClient, database: Database) -> None:
    dataset_id = ready_dataset(http, database, per_class=(12, 9))
    body = {"dataset_id": dataset_id, "iterations": 5}
    problem = problem_of(http.post("/v1/jobs", json={**body, "ipc": 11}), 422, "ipc_too_large")
    assert (problem["limit"], problem["value"]) == (10, 11)
    assert problem["errors"][0]["pointer"] == "/ipc"
    assert http.post("/v1/jobs", json={**body, "ipc": 10}).status_code == 202


def test_network_deeper_than_the_images_allow(http: TestClient, database: Database) -> None:
    body = {"dataset_id": ready_dataset(http, database, image_size=16), **SMALL}
    problem = problem_of(
        http.post("/v1/jobs", json={**body, "network": {"depth": 5}}), 422, "network_too_deep"
    )
    assert (problem["limit"], problem["errors"][0]["pointer"]) == (4, "/network/depth")
    assert http.post("/v1/jobs", json={**body, "network": {"depth": 4}}).status_code == 202


def test_further_networks_fit_the_images_and_have_names_of_their_own(
    http: TestClient, database: Database
) -> None:
    body = {"dataset_id": ready_dataset(http, database, image_size=16), **SMALL}

    def post(*networks: dict[str, Any]) -> httpx2.Response:
        return http.post("/v1/jobs", json={**body, "evaluation": {"cross_architecture": networks}})

    too_deep = problem_of(post({"width": 8}, {"depth": 5}), 422, "network_too_deep")
    assert too_deep["errors"][0]["pointer"] == "/evaluation/cross_architecture/1/depth"
    for networks in ([{"depth": 2}], [{"width": 8}, {"width": 8, "depth": 2}]):  # 2 is the depth at 16 px
        repeated = problem_of(post(*networks), 422, "network_repeated")
        pointer = f"/evaluation/cross_architecture/{len(networks) - 1}"
        assert repeated["errors"][0]["pointer"] == pointer
        assert "is listed twice: remove one or change an option" in repeated["detail"]
    accepted = post({"width": 8}, {"width": 8, "norm": "batch"})
    assert accepted.status_code == 202
    found = accepted.json()["spec"]["evaluation"]["cross_architecture"]
    assert [(one["width"], one["depth"], one["norm"]) for one in found] == [
        (8, 2, "instance"), (8, 2, "batch"),
    ]  # fmt: skip


def test_evaluations_are_summed_up_with_their_confusion_matrix(http: TestClient, database: Database) -> None:
    dataset_id = ready_dataset(http, database, image_size=16)
    evaluation = {"baselines": ["herding"], "cross_architecture": [{"width": 8}]}
    body = {"dataset_id": dataset_id, **SMALL, "evaluation": evaluation, "network": {"width": 4}}
    job_id = http.post("/v1/jobs", json=body).json()["id"]
    own, wider = "convnet-d2-w4-instance", "convnet-d2-w8-instance"
    with database.writing() as session:
        session.get_one(Job, job_id).phase = "evaluate"
        for network, method, repeat, confusion in (
            (wider, "condensed", 0, [[1, 1], [0, 2]]),
            (own, "herding", 0, None),  # of an older version
            (own, "condensed", 0, [[2, 0], [1, 1]]),
            (own, "condensed", 1, [[1, 1], [1, 1]]),
        ):
            session.add(
                done_trial(job_id, method, repeat, network=network, per_class=[0.5, 0.5], confusion=confusion)
            )
    found = http.get(f"/v1/jobs/{job_id}").json()["evaluations"]
    assert [(one["network"], one["method"], one["n"], one["confusion"]) for one in found] == [
        (own, "condensed", 2, [[3, 1], [2, 2]]),
        (own, "herding", 1, None),
        (wider, "condensed", 1, [[1, 1], [0, 2]]),
    ]


def test_list_by_state_and_data_set(http: TestClient, database: Database) -> None:
    first, second = queued_job(http, database), queued_job(http, database)
    bring(database, first, "running")
    dataset_id = http.get(f"/v1/jobs/{second}").json()["dataset_id"]
    for parameters, expected in (
        ({}, [second, first]),
        ({"state": "running"}, [first]),
        ({"dataset_id": dataset_id}, [second]),
        ({"dataset_id": dataset_id, "state": "running"}, []),
        ({"limit": "1"}, [second]),
        ({"after": second}, [first]),
    ):
        found = http.get("/v1/jobs", params=parameters).json()["data"]
        assert [job["id"] for job in found] == expected


def test_cancel_of_one_that_waits(http: TestClient, database: Database) -> None:
    path = f"/v1/jobs/{queued_job(http, database)}"
    first = http.post(f"{path}/cancel")
    assert first.status_code == 202
    assert first.json()["state"] == "cancelled"
    assert first.json()["finished_at"] is not None
    again = http.post(f"{path}/cancel")
    assert (again.status_code, again.json()) == (202, first.json())
    assert [event["type"] for event in http.get(f"{path}/events").json()["data"]] == ["queued", "cancelled"]


def test_cancel_of_one_that_runs(http: TestClient, database: Database) -> None:
    job_id = queued_job(http, database)
    bring(database, job_id, "running")
    for _ in range(2):
        assert http.post(f"/v1/jobs/{job_id}/cancel").json()["state"] == "cancelling"
    events = http.get(f"/v1/jobs/{job_id}/events").json()["data"]
    assert [event["type"] for event in events] == ["queued", "running", "cancelling"]


@pytest.mark.parametrize("end", ["succeeded", "failed"])
def test_cancel_of_one_that_has_ended(http: TestClient, database: Database, end: str) -> None:
    job_id = queued_job(http, database)
    bring(database, job_id, "running", end)
    problem = problem_of(http.post(f"/v1/jobs/{job_id}/cancel"), 409, "conflict")
    assert problem["job_state"] == end


def test_repeated_request_makes_nothing_new(http: TestClient, database: Database) -> None:
    body = {"dataset_id": ready_dataset(http, database), **SMALL}
    key = {b"Idempotency-Key": "order 66 ü".encode("latin-1")}
    first = http.post("/v1/jobs", json=body, headers=key)
    bring(database, first.json()["id"], "running")
    again = http.post("/v1/jobs", json=body, headers=key)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["id"] == first.json()["id"]
    assert again.json()["state"] == "running"
    assert again.headers["location"] == first.headers["location"]
    other = http.post("/v1/jobs", json={**body, "seed": 1}, headers=key)
    problem_of(other, 422, "idempotency_key_reused")
    assert counted(database) == (1, 1)
    assert http.post("/v1/jobs", json=body).json()["id"] != first.json()["id"]


def test_repeated_data_set_request_makes_nothing_new(http: TestClient, database: Database) -> None:
    """Even after its upload is gone."""
    source = ingesting_dataset(http)["upload_id"]
    body, key = {"upload_id": source}, {"Idempotency-Key": "k"}
    first, again = (http.post("/v1/datasets", json=body, headers=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json() == first.json()
    problem_of(
        http.post("/v1/datasets", json={**body, "seed": 1}, headers=key), 422, "idempotency_key_reused"
    )


def test_refused_request_does_not_use_up_its_key(http: TestClient, database: Database) -> None:
    body = {"dataset_id": ready_dataset(http, database), **SMALL}
    key = {"Idempotency-Key": "k"}
    problem_of(http.post("/v1/jobs", json={**body, "ipc": 1000}, headers=key), 422)
    assert http.post("/v1/jobs", json=body, headers=key).status_code == 202
    for value in ("", "x" * 256):
        problem = problem_of(http.post("/v1/jobs", json=body, headers={"Idempotency-Key": value}), 422)
        assert problem["errors"][0]["pointer"].lower() == "header: idempotency-key"


def test_parallel_requests_with_one_key_make_one_job(http: TestClient, database: Database) -> None:
    body = {"dataset_id": ready_dataset(http, database), **SMALL}

    def post(_n: int) -> tuple[int, str]:
        response = http.post("/v1/jobs", json=body, headers={"Idempotency-Key": "k"})
        return response.status_code, response.json().get("id", response.text)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(post, range(20)))
    assert sorted(status for status, _ in answers) == [200] * 19 + [202]
    assert len({job_id for _, job_id in answers}) == 1
    assert counted(database) == (1, 1)
