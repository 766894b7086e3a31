"""`/metrics`: what it says, to whom, and what it costs."""

import re
import time
from pathlib import Path

import pytest
import yaml
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update
from starlette.testclient import TestClient

from api.app import create_app
from core.db.models import Job, Orphan, Worker
from core.db.session import Database
from core.db.types import db_now
from core.settings import Settings
from core.storage.local import LocalStorage
from core.version import __version__
from core.work import workers
from tests.support.api import add_artifact, bring, client_of, problem_of, queued_job, token_of, upload
from tests.support.servers import free_port
from tests.support.service import ROOT

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(http: TestClient) -> Samples:
    response = http.get("/metrics")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/plain")
    return {
        (sample.name.removeprefix("condensery_"), frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


def test_queues_jobs_and_work(http: TestClient, database: Database, storage: LocalStorage) -> None:
    waiting, running, done = (queued_job(http, database) for _ in range(3))
    bring(database, running, "running")
    bring(database, done, "running", "succeeded")
    add_artifact(database, storage, done, b"12345")
    with database.writing() as session:
        session.add(Orphan(key="uploads/lost"))
    seconds = {"condense": 100.0, "evaluate": 20.0, "export": 1.0}
    progress = {"phase": "condense", "seconds_per_iteration": 0.25, "memory_bytes": 1 << 30}
    with database.writing() as session:
        session.execute(update(Job).where(Job.id == waiting).values(updated_at=db_now(-90)))
        session.execute(
            update(Job).where(Job.id == running).values(progress=progress, lease_until=db_now(-5))
        )
        session.execute(update(Job).where(Job.id == done).values(result={"seconds": seconds}))
    found = scrape(http)
    assert value(found, "database_up") == 1
    assert value(found, "queue_jobs", queue="gpu", state="queued") == 1
    assert value(found, "queue_jobs", queue="gpu", state="running") == 1
    assert value(found, "queue_jobs", queue="cpu", state="queued") == 0
    assert value(found, "jobs", state="succeeded") == 1
    assert value(found, "jobs", state="failed") == 0
    assert value(found, "datasets", state="ready") == 3
    assert 90 <= (value(found, "queue_oldest_seconds", queue="gpu") or 0) < 150
    assert value(found, "queue_oldest_seconds", queue="cpu") == 0
    assert value(found, "job_steps_per_second", job=running, phase="condense") == 4
    assert value(found, "job_memory_bytes", job=running, phase="condense") == 1 << 30
    assert value(found, "job_phase_seconds", phase="condense", quantile="0.5") == 100
    assert value(found, "job_phase_seconds", phase="export", quantile="1") == 1
    assert value(found, "leases_overdue") == 1
    assert value(found, "stored_bytes", kind="artifact") == 5
    assert value(found, "stored_bytes", kind="upload") == len(b"some bytes"), "sent thrice, stored once"
    assert value(found, "orphan_files") == 1
    assert value(found, "workers") == 0
    assert value(found, "worker_heartbeat_seconds") is None
    assert value(found, "build_info", version=__version__) == 1


def test_workers(http: TestClient, database: Database) -> None:
    me = Worker(id="wk_1", host="a", version="1", queues=["gpu"], slots={"gpu": 1}, device="H100")
    for _ in range(2):
        with database.writing() as session:
            workers.note_alive(session, me)
    with database.writing() as session:
        session.execute(update(Worker).values(seen_at=db_now(-30)))
    assert 30 <= (value(scrape(http), "worker_heartbeat_seconds") or 0) < 60
    assert 30 <= http.get("/readyz").json()["workers"] < 60
    with database.writing() as session:
        workers.note_alive(session, me)
    (listed,) = http.get("/v1/workers").json()["data"]
    assert (listed["id"], listed["queues"], listed["slots"], listed["device"]) == (
        "wk_1", ["gpu"], {"gpu": 1}, "H100",
    )  # fmt: skip
    assert http.get("/readyz").json()["workers"] < 30
    with database.writing() as session:
        workers.sign_off(session, "wk_1")
    assert http.get("/readyz").json()["workers"] is None


def test_requests_by_route_never_by_what_clients_send(http: TestClient) -> None:
    for job_id in ("job_1", "job_2"):
        http.get(f"/v1/jobs/{job_id}")
    http.get("/no/such/page")
    http.request("BREW", "/v1/jobs")
    upload(http)
    found = scrape(http)
    count = "http_requests_total"
    assert value(found, count, method="GET", route="/v1/jobs/{job_id}", status="404") == 2
    assert value(found, count, method="GET", route="none", status="404") == 1
    assert value(found, count, method="PUT", route="/v1/uploads", status="201") == 1
    assert [labels for name, labels in found if name == count and ("method", "other") in labels]
    assert value(found, "http_request_seconds_count", method="PUT", route="/v1/uploads") == 1
    assert not any("job_1" in text or "such" in text for _, labels in found for _, text in labels)


def test_open_streams_are_counted_until_they_end(app: FastAPI, http: TestClient, database: Database) -> None:
    job_id = queued_job(http, database)
    bring(database, job_id, "cancelled")
    assert http.get(f"/v1/jobs/{job_id}/events/stream").status_code == 200
    found = scrape(http)
    assert value(found, "http_event_streams") == 0
    labels = {"method": "GET", "route": "/v1/jobs/{job_id}/events/stream", "status": "200"}
    assert value(found, "http_requests_total", **labels) == 1


def test_only_for_admins(app: FastAPI, http: TestClient, database: Database) -> None:
    with client_of(app, peer="192.0.2.1") as elsewhere:
        problem_of(elsewhere.get("/metrics"), 403, "local_only")
    with client_of(app, token_of(database, "a", "write")) as writer:
        problem_of(writer.get("/metrics"), 403, "missing_scope")
        problem_of(writer.get("/v1/workers"), 403, "missing_scope")
    problem_of(http.get("/metrics"), 401)  # the first key ends what this machine may do without one
    with client_of(app, token_of(database, "a", "admin")) as admin:
        assert scrape(admin)


def test_with_a_port_of_its_own_it_is_not_on_the_apis(
    settings: Settings, database: Database, storage: LocalStorage
) -> None:
    apart = create_app(settings.model_copy(update={"metrics_port": free_port()}), database, storage)
    with client_of(apart) as http:
        problem_of(http.get("/metrics"), 404)


def test_database_that_is_away(settings: Settings, tmp_path: Path, storage: LocalStorage) -> None:
    gone = Database(f"postgresql+psycopg://me:hunter2@127.0.0.1:{free_port()}/none")
    app = create_app(settings, gone, storage)
    text, _ = app.state.metrics.scrape("")
    assert b"condensery_database_up 0.0" in text
    assert b"condensery_jobs" not in text
    gone.engine.dispose()


def test_sums_over_files_are_not_made_at_every_scrape(
    http: TestClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert value(scrape(http), "stored_bytes", kind="upload") == 0
    upload(http)
    assert value(scrape(http), "stored_bytes", kind="upload") == 0
    monkeypatch.setattr("api.metrics._TOTALS_SECONDS", 0.0)
    until = time.monotonic() + 20
    while value(scrape(http), "stored_bytes", kind="upload") == 0:
        assert time.monotonic() < until


def test_every_metric_of_the_alerts_is_served(http: TestClient) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    (rules,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    named = {
        metric
        for group in yaml.safe_load(rules)["groups"]
        for rule in group["rules"]
        for metric in re.findall(r"condensery_\w+", rule["expr"])
    }
    assert len(named) >= 5
    http.get("/v1/jobs")
    served = http.get("/metrics").text
    assert [one for one in named if f"\n# TYPE {one.removesuffix('_total')}" not in served] == []
