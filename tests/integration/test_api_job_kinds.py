"""Jobs by their kind, and what a POST would answer, without making anything."""

from typing import Any

import httpx2
import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient

from core.db.models import Base, Job
from core.db.session import Database
from core.kinds import KINDS
from tests.integration.test_api_jobs import FAULTS
from tests.support.api import SMALL, bring, ingesting_dataset, problem_of, ready_dataset


def rows_of(database: Database) -> dict[str, int]:
    """How many there are in each table."""
    with database.reading() as session:
        return {
            name: session.scalar(select(func.count()).select_from(table)) or 0
            for name, table in Base.metadata.tables.items()
        }


def same_problem(one: httpx2.Response, other: httpx2.Response) -> None:
    first, second = one.json(), other.json()
    assert first.pop("request_id") != second.pop("request_id")
    assert (one.status_code, first) == (other.status_code, second)


def test_without_a_kind_it_is_a_condensation(http: TestClient, database: Database) -> None:
    body = {"dataset_id": ready_dataset(http, database), **SMALL}
    unnamed, named = (http.post("/v1/jobs", json={**body, **kind}) for kind in ({}, {"kind": "condense"}))
    assert (unnamed.status_code, named.status_code) == (202, 202)
    first, second = unnamed.json(), named.json()
    assert (first["kind"], first["phase"], first["spec"]) == ("condense", "condense", second["spec"])
    assert "kind" not in first["spec"]
    with database.reading() as session:
        assert session.get_one(Job, first["id"]).queue == "gpu"


def test_the_same_request_with_and_without_its_kind_is_a_repetition(
    http: TestClient, database: Database
) -> None:
    body, key = {"dataset_id": ready_dataset(http, database), **SMALL}, {"Idempotency-Key": "k"}
    first = http.post("/v1/jobs", json=body, headers=key)
    again = http.post("/v1/jobs", json={**body, "kind": "condense"}, headers=key)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json() == first.json()


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/validate"])
@pytest.mark.parametrize("kind", ["distil", "", None, 1, [], {"name": "condense"}])
def test_an_unknown_kind_is_answered_with_those_there_are(http: TestClient, path: str, kind: Any) -> None:
    body = {"kind": kind, "dataset_id": "ds_1", **SMALL}
    (error,) = problem_of(http.post(path, json=body), 422, "invalid_request")["errors"]
    assert error["pointer"] == "/kind"
    assert all(name in error["detail"] for name in KINDS)
    assert isinstance(kind, list | dict) or f"(got {kind!r})" in error["detail"]


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/validate"])
@pytest.mark.parametrize("kind", [{}, {"kind": "condense"}])
def test_faults_are_pointed_at_in_the_body_as_it_was_sent(
    http: TestClient, database: Database, path: str, kind: dict[str, str]
) -> None:
    dataset_id = ready_dataset(http, database)
    for fault, pointer in FAULTS:
        response = http.post(path, json={"dataset_id": dataset_id, **SMALL, **kind, **fault})
        problem = problem_of(response, 422, "invalid_request")
        assert [one["pointer"] for one in problem["errors"]] == [pointer]


def test_a_kind_that_takes_no_condensed_set_names_it(http: TestClient, database: Database) -> None:
    body = {"dataset_id": ready_dataset(http, database), **SMALL, "condensed_set_id": "cs_1"}
    (error,) = problem_of(http.post("/v1/jobs", json=body), 422)["errors"]
    assert error == {"pointer": "/condensed_set_id", "detail": "there is no such field"}


def test_jobs_are_listed_by_kind(http: TestClient, database: Database) -> None:
    body = {"dataset_id": ready_dataset(http, database), **SMALL}
    job_id = http.post("/v1/jobs", json=body).json()["id"]
    (found,) = http.get("/v1/jobs", params={"kind": "condense"}).json()["data"]
    assert (found["id"], found["kind"]) == (job_id, "condense")
    (error,) = problem_of(http.get("/v1/jobs", params={"kind": "distil"}), 422)["errors"]
    assert error["pointer"] == "?kind"


def test_what_a_post_would_make_is_answered_and_nothing_made(http: TestClient, database: Database) -> None:
    body = {"dataset_id": ready_dataset(http, database), **SMALL, "recipe": "fast", "name": "mine"}
    before, usage = rows_of(database), http.get("/v1/usage").json()
    checked = http.post("/v1/jobs/validate", json=body, headers={"Idempotency-Key": "k"})
    assert checked.status_code == 200
    assert (rows_of(database), http.get("/v1/usage").json()) == (before, usage)
    made = http.post("/v1/jobs", json=body, headers={"Idempotency-Key": "k"})
    assert made.status_code == 202, "the key is not used up"
    found = checked.json()
    assert (found["kind"], found["spec"]) == ("condense", made.json()["spec"])
    assert found["label"] == "1 per class, fast"
    cost = found["cost"]
    assert cost["flops"] == sum(cost["flops_by_phase"].values()) > 0
    assert cost["memory_bytes"] > 0
    assert cost["seconds"] is None, "nothing alike has run"
    assert cost["flops_by_phase"].keys() <= {phase.name for phase in KINDS["condense"].phases}


REFUSED: list[dict[str, Any]] = [
    {"ipc": 11},
    {"network": {"depth": 9}},
    {"evaluation": {"cross_architecture": [{"width": 8}, {"width": 8}]}},
    {"dataset_id": "ds_0"},
    {"ipc": 0, "network": {"width": 0}, "x": 1},
    {"priority": "first"},
]


def test_what_a_post_would_refuse_is_refused_alike(http: TestClient, database: Database) -> None:
    body = {"dataset_id": ready_dataset(http, database), **SMALL}
    not_ready = {"dataset_id": ingesting_dataset(http)["id"]}
    before = rows_of(database)
    for wrong in (*REFUSED, not_ready):
        asked = {**body, **wrong}
        checked, made = (http.post(path, json=asked) for path in ("/v1/jobs/validate", "/v1/jobs"))
        assert checked.status_code in (404, 409, 422)
        same_problem(checked, made)
    assert rows_of(database) == before


def test_before_there_is_a_data_set_what_depends_on_none_is_checked(http: TestClient) -> None:
    checked = http.post("/v1/jobs/validate", json={**SMALL, "recipe": "fast"})
    assert checked.status_code == 200, checked.text
    found = checked.json()
    assert (found["kind"], found["cost"]) == ("condense", None)
    assert (found["spec"]["ipc"], found["spec"]["recipe"]) == (1, "fast")
    for fault, pointer in FAULTS:
        problem = problem_of(http.post("/v1/jobs/validate", json={**SMALL, **fault}), 422)
        assert [one["pointer"] for one in problem["errors"]] == [pointer]


def test_the_time_it_takes_is_told_by_jobs_like_it(http: TestClient, database: Database) -> None:
    body = {"dataset_id": ready_dataset(http, database), **SMALL}
    job_id = http.post("/v1/jobs", json=body).json()["id"]
    cost = http.post("/v1/jobs/validate", json=body).json()["cost"]
    assert cost["seconds"] is None
    per_iteration = cost["flops_by_phase"]["condense"] // SMALL["iterations"]
    bring(database, job_id, "running")
    with database.writing() as session:
        session.get_one(Job, job_id).result = {
            "environment": {}, "flops_per_iteration": per_iteration, "flops_per_second": 1e9,
        }  # fmt: skip
    bring(database, job_id, "succeeded")
    again = http.post("/v1/jobs/validate", json=body).json()["cost"]
    assert again == {**cost, "seconds": pytest.approx(cost["flops"] / 1e9)}
