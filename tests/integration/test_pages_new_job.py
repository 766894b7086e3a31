"""The form of a new job, without a browser: what it suggests, refuses, makes, and makes once."""

import re
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from api.web import new_job
from core.db.session import Database
from tests.support.api import problem_of, ready_dataset
from tests.support.pages import PAGE, part_of, text_of

pytestmark = pytest.mark.one_database


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
        assert "the limit for " in refused.text
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


def test_it_suggests_what_shows_whether_condensing_was_worth_it(http: TestClient, database: Database) -> None:
    dataset = ready_dataset(http, database)
    page = http.get(f"/jobs/new?dataset={dataset}", headers=PAGE)
    first = page.text[: page.text.index("<summary>All settings")]
    assert re.search(r'name="evaluation.points" value="3"', first)
    ticked = re.findall(r'name="evaluation.baselines" value="([a-z-]+)" checked', first)
    assert ticked == ["random", "random-collage", "herding", "whole"]
    assert "0 gives no accuracy curve" in first


def work_of(page: httpx2.Response) -> str:
    return text_of(part_of(page, "<dt>work</dt>", "</dd>"))


def test_the_estimate_says_what_points_and_baselines_cost(http: TestClient, database: Database) -> None:
    dataset = ready_dataset(http, database)
    plain = {"ipc": "5", "action": "estimate", "evaluation.points": "0", "evaluation.baselines": "random"}
    costs = {
        work_of(sent(http, dataset, **plain | more))
        for more in (
            {},
            {"evaluation.points": "3"},
            {"evaluation.baselines": ["random", "herding"]},
            {"evaluation.points": "3", "evaluation.baselines": ["random", "herding"]},
        )
    }
    assert len(costs) == 4


def test_what_is_wrong_stands_in_the_estimate_too(http: TestClient, database: Database) -> None:
    """A script takes this part of the answer alone."""
    dataset = ready_dataset(http, database)
    answer = sent(http, dataset, ipc="9999", action="estimate")
    assert answer.status_code == 422
    estimate = part_of(answer, '<aside id="estimate"', "</aside>")
    assert '<a href="#set-ipc">ipc</a>' in estimate
    assert "the limit for this data set is 10" in text_of(estimate)
    assert "above" not in text_of(estimate)


def test_every_fault_leads_to_its_field_and_is_marked_there(http: TestClient, database: Database) -> None:
    dataset = ready_dataset(http, database)
    wrong = {
        "ipc": "x",
        "recipe": "none",
        "evaluation.baselines": "best",
        "evaluation.cross_architecture": "x",
    }
    answer = sent(http, dataset, **wrong)
    faults = part_of(answer, 'id="faults"', "</div>")
    led_to = set(re.findall(r'href="#([^"]+)"', faults))
    assert {"set-ipc", "set-recipe", "set-evaluation-baselines"} <= led_to
    for field in led_to:
        [tag] = re.findall(f'<(?:input|select|fieldset) id="{field}"[^>]*>', answer.text)
        assert "aria-invalid=true" in tag or 'tabindex="-1"' in tag


def test_older_data_sets_are_told_of(
    http: TestClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_job, "_OFFERED", 1)
    ready_dataset(http, database)
    assert "These are the newest" not in http.get("/jobs/new", headers=PAGE).text
    ready_dataset(http, database)
    assert "These are the newest 1;" in text_of(http.get("/jobs/new", headers=PAGE))
