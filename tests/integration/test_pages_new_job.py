"""The form of a new job, without a browser: what it suggests, refuses, makes, and makes once."""

from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from core.db.session import Database
from tests.support.api import problem_of, ready_dataset
from tests.support.pages import PAGE, text_of


def sent(http: TestClient, dataset: str, **fields: Any) -> httpx2.Response:
    return http.post(f"/jobs/new?dataset={dataset}", data=fields, headers=PAGE, follow_redirects=False)


@pytest.mark.parametrize("wrong", [{"ipc": "9999"}, {"ipc": "1", "network.depth": "8"}])
def test_a_form_that_was_refused_can_be_mended_and_sent_again(
    http: TestClient, database: Database, wrong: dict[str, str]
) -> None:
    dataset = ready_dataset(http, database)
    for _ in range(2):
        refused = sent(http, dataset, once="a1", **wrong)
        assert refused.status_code == 422
        assert "at most" in refused.text
    made = sent(http, dataset, once="a1", ipc="2")
    assert made.status_code == 303, text_of(made)
    again = sent(http, dataset, once="a1", ipc="2")
    assert again.headers["location"] == made.headers["location"], "pressed twice, made once"
    other = sent(http, dataset, once="a1", ipc="3")
    assert other.status_code == 303, "gone back to, and changed"
    assert len(http.get("/v1/jobs").json()["data"]) == 2


def test_a_form_with_an_overlong_mark_makes_its_job(http: TestClient, database: Database) -> None:
    """Of what is only to tell one form from another, any length will do."""
    dataset = ready_dataset(http, database)
    assert sent(http, dataset, once="a" * 1000, ipc="1").status_code == 303


def test_a_refused_request_claims_no_idempotency_key(http: TestClient, database: Database) -> None:
    dataset = ready_dataset(http, database)
    key = {"Idempotency-Key": "k1"}
    for _ in range(2):
        wrong = http.post("/v1/jobs", json={"dataset_id": dataset, "ipc": 9999}, headers=key)
        problem_of(wrong, 422, "ipc_too_large")
    right = http.post("/v1/jobs", json={"dataset_id": dataset, "ipc": 1}, headers=key)
    assert right.status_code == 202
