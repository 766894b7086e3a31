"""Merges of condensed sets over HTTP."""

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from core.db.session import Database
from core.storage.local import LocalStorage
from tests.support.api import (
    client_of,
    problem_of,
    token_of,
)
from tests.support.condensed_sets import PATH, finished_job, request_set
from tests.support.sets import add_set, end_reading, images


def test_merge_of_disjoint_and_equal_classes(
    http: TestClient, database: Database, storage: LocalStorage
) -> None:
    first = add_set(database, storage, made=images(("a", "b")), license="mit", name="one")
    second = add_set(database, storage, made=images(("c",)), license="cc0-1.0", name="two")
    third = add_set(database, storage, made=images(("b", "a")), license="mit", name="three")
    body = {"condensed_set_ids": [first, second, third]}
    response = http.post(f"{PATH}/merge", json=body, headers={"Idempotency-Key": "k"})
    made = response.json()
    assert response.status_code == 202, made
    assert response.headers["location"] == f"{PATH}/{made['id']}"
    assert (made["state"], made["name"]) == ("reading", "one + two + three")
    assert made["parents"] == [first, second, third]
    assert made["license"] == "mit AND cc0-1.0"
    again = http.post(f"{PATH}/merge", json=body, headers={"Idempotency-Key": "k"})
    assert (again.status_code, again.json()) == (200, made)
    for parent in made["parents"]:
        problem = problem_of(http.delete(f"{PATH}/{parent}"), 409, "conflict")
        assert problem["condensed_set_id"] == made["id"]
    end_reading(database, made["id"])
    assert http.delete(f"{PATH}/{first}").status_code == 204


UNLIKE: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"classes": ("b", "c")}, {}, "classes_overlap"),
    ({"classes": ("a",)}, {}, "classes_overlap"),
    ({"classes": ("c",), "size": 8}, {}, "shape_mismatch"),
    ({"classes": ("c",), "mean": (0.4,)}, {}, "normalisation_differs"),
    ({"classes": ("c",), "std": (0.3,)}, {}, "normalisation_differs"),
    ({"classes": ("c",)}, {"form": "collage"}, "form_differs"),
    ({"classes": ("c",)}, {"manifest": None}, "facts_unknown"),
]


@pytest.mark.parametrize(("shape", "values", "code"), UNLIKE)
def test_sets_that_do_not_fit_are_not_merged(
    http: TestClient, database: Database, storage: LocalStorage, shape: Any, values: Any, code: str
) -> None:
    first = add_set(database, storage, made=images(("a", "b")))
    other = add_set(database, storage, made=images(**shape), **values)
    body = {"condensed_set_ids": [first, other]}
    problem = problem_of(http.post(f"{PATH}/merge", json=body), 422, code)
    assert problem["errors"][0]["pointer"] == "/condensed_set_ids/1"
    assert other in problem["detail"]


def test_merges_of_what_cannot_be(
    app: FastAPI, http: TestClient, database: Database, storage: LocalStorage, tmp_path: Path
) -> None:
    mine, reading = add_set(database, storage), request_set(http)["id"]
    theirs = add_set(database, storage, owner="another")

    def merge(*ids: str) -> Any:
        return http.post(f"{PATH}/merge", json={"condensed_set_ids": ids})

    problem_of(merge(mine, mine), 422, "set_repeated")
    problem_of(merge(mine), 422, "invalid_request")
    problem_of(merge(mine, reading), 409, "condensed_set_not_ready")
    problem_of(merge(mine, theirs), 404, "not_found")
    problem_of(merge(mine, "cs_0"), 404, "not_found")
    with client_of(app, token_of(database, "another")) as another:
        problem_of(another.get(f"{PATH}/{mine}"), 404, "not_found")
        assert [one["id"] for one in another.get(PATH).json()["data"]] == [theirs]


def test_a_job_with_its_set_goes_only_if_nobody_merges_it(
    http: TestClient, database: Database, storage: LocalStorage
) -> None:
    job_id = finished_job(http, database)
    made = add_set(database, storage, job_id=job_id, made=images(("a",)))
    other = add_set(database, storage, made=images(("b",)))
    whole = http.post(f"{PATH}/merge", json={"condensed_set_ids": [made, other]}).json()["id"]
    problem_of(http.delete(f"/v1/jobs/{job_id}"), 409, "conflict")
    end_reading(database, whole)
    assert http.delete(f"/v1/jobs/{job_id}").status_code == 204
    problem_of(http.get(f"{PATH}/{made}"), 404, "not_found")
