"""Jobs side by side, without a browser."""

import re
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from api.web import compare
from core.db.models import Job, Metric
from core.db.session import Database
from tests.support.api import SMALL, bring, ready_dataset
from tests.support.leased import done_trial
from tests.support.pages import PAGE, part_of, text_of

pytestmark = pytest.mark.one_database

OWN = "convnet-d3-w128-instance"


def made(http: TestClient, dataset: str, **fields: Any) -> str:
    return str(http.post("/v1/jobs", json={"dataset_id": dataset, **SMALL, **fields}).json()["id"])


def compared(http: TestClient, *jobs: str) -> httpx2.Response:
    return http.get("/compare", params={"job": list(jobs)}, headers=PAGE)


def evaluated(database: Database, job_id: str, network: str, method: str, accuracy: float) -> None:
    with database.writing() as session:
        job = session.get_one(Job, job_id)
        job.phase = "evaluate"
        session.add(
            done_trial(job_id, method, owner=job.owner, network=network, accuracy=accuracy, confusion=None)
        )


def lines(page: httpx2.Response) -> list[str]:
    table = part_of(page, '<h2 id="results-title"', "</table>")
    return [text_of(line) for line in re.findall("<tr>.*?</tr>", table, re.DOTALL)]


def test_networks_of_one_kind_with_other_norms_differ(http: TestClient, database: Database) -> None:
    dataset = ready_dataset(http, database)
    jobs = [
        made(http, dataset, evaluation={"cross_architecture": [{"name": "resnet18", "norm": norm}]})
        for norm in ("batch", "instance")
    ]
    said = text_of(part_of(compared(http, *jobs), '<h2 id="differ"', "</section>"))
    assert "evaluation · cross architecture resnet18-batch resnet18-instance" in said
    assert "None: same data" not in said


def test_equal_jobs_do_not_differ(http: TestClient, database: Database) -> None:
    dataset = ready_dataset(http, database)
    further = {"cross_architecture": [{"name": "resnet18", "norm": "batch"}]}
    page = compared(http, *(made(http, dataset, evaluation=further) for _ in range(2)))
    assert "None: same data, same settings, same seed." in page.text


def test_every_network_that_was_tested_stands_side_by_side(http: TestClient, database: Database) -> None:
    dataset = ready_dataset(http, database)
    further = {"cross_architecture": [{"name": "lenet"}]}
    a, b = made(http, dataset, evaluation=further), made(http, dataset, network={"width": 8})
    evaluated(database, a, OWN, "condensed", 0.5)
    evaluated(database, a, "lenet-none", "condensed", 0.25)
    evaluated(database, b, "convnet-d3-w8-instance", "condensed", 0.75)
    evaluated(database, b, OWN, "condensed", 0.125)
    found = lines(compared(http, a, b))
    at = [found.index(f"on {network}") for network in (OWN, "convnet-d3-w8-instance", "lenet-none")]
    assert at == sorted(at), "the jobs' own networks first"
    assert [found[n + 1] for n in at] == [
        "condensed 50.0 % n = 1 12.5 % n = 1",
        "condensed – 75.0 % n = 1",
        "condensed 25.0 % n = 1 –",
    ]


def test_without_a_curve_that_is_said_and_no_script_is_loaded(http: TestClient, database: Database) -> None:
    dataset = ready_dataset(http, database)
    jobs = [made(http, dataset) for _ in range(2)]
    page = compared(http, *jobs)
    assert "None of them has a curve yet" in page.text
    assert 'id="curve"' not in page.text and "curve.js" not in page.text
    bring(database, jobs[0], "running")
    with database.writing() as session:
        owner = session.get_one(Job, jobs[0]).owner
        for iteration in (1, 2):
            point = {"job_id": jobs[0], "fence": 1, "x": iteration, "value": 0.5, "seconds": 1.0}
            session.add(Metric(owner=owner, **point))
    page = compared(http, *jobs)
    assert "has a curve yet" not in page.text
    assert 'id="curve"' in page.text and "curve.js" in page.text


def test_what_was_chosen_can_be_unticked_however_old_it_is(
    http: TestClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "_OFFERED", 2)
    dataset = ready_dataset(http, database)
    jobs = [made(http, dataset) for _ in range(4)]
    page = compared(http, jobs[0], jobs[3])
    boxes = re.findall(r'name="job" value="([^"]+)"( checked)?', page.text)
    assert boxes == [(jobs[3], " checked"), (jobs[2], ""), (jobs[0], " checked")]
    assert "of the newest 2" in page.text
    monkeypatch.setattr(compare, "_OFFERED", 4)
    assert "of the newest" not in compared(http, jobs[0]).text
