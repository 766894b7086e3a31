"""Far more requests at once than the API has threads and connections to the database."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api import deps
from core.catalogue import rows
from core.db.models import Dataset, Job
from core.db.session import Database
from core.ids import new_id
from tests.support.api import SMALL, make_ready, problem_of, token_of
from tests.support.leased import add_job
from tests.support.processes import wait_for
from tests.support.service import Service

#: Several times the API's threads (40), and of PostgreSQL's connections (30).
AT_ONCE = 200
#: Half a second's work, and what a machine that is busy besides makes of it.
TIMEOUT_SECONDS = 60


@pytest.fixture
def service(tmp_path: Path, database: Database) -> Iterator[Service]:
    """An API without a worker."""
    url = database.engine.url.render_as_string(hide_password=False)
    running = Service(tmp_path / "data", CONDENSERY_DATABASE_URL=url)
    running.start_api()
    yield running
    running.stop()


def test_everybody_is_answered(service: Service, database: Database) -> None:
    token = token_of(database, "ada", "write")
    with database.writing() as session:
        dataset = Dataset(id=new_id("ds"), owner="ada", name="set", state="ingesting")
        session.add(dataset)
    make_ready(database, dataset.id)
    body = {"dataset_id": dataset.id, **SMALL}

    async def ask() -> Counter[tuple[str, int]]:
        limits = httpx2.Limits(max_connections=AT_ONCE)
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx2.AsyncClient(
            base_url=service.url, headers=headers, limits=limits, timeout=TIMEOUT_SECONDS
        ) as http:
            made = await http.post("/v1/jobs", json=body, headers={"Idempotency-Key": "the same"})

            async def one(number: int) -> tuple[str, int]:
                if number % 20 == 0:
                    again = await http.post("/v1/jobs", json=body, headers={"Idempotency-Key": "the same"})
                    assert again.json()["id"] == made.json()["id"]
                    return "submit", again.status_code
                return "read", (await http.get(f"/v1/jobs/{made.json()['id']}")).status_code

            return Counter(await asyncio.gather(*(one(number) for number in range(AT_ONCE))))

    assert asyncio.run(ask()) == {("submit", 200): AT_ONCE // 20, ("read", 200): AT_ONCE - AT_ONCE // 20}


def test_who_waits_too_long_is_told_to_come_again(
    app: FastAPI, http: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deps, "WAIT_SECONDS", 0.05)
    app.state.reads = asyncio.Semaphore(0)
    refused = http.get("/v1/jobs")
    problem_of(refused, 503, "overloaded")
    assert int(refused.headers["retry-after"]) > 0
    app.state.reads.release()
    for _ in range(3):  # a place is given back after a good answer and after an error
        assert http.get("/v1/jobs").status_code == 200
        assert http.get("/v1/jobs/job_00000000000000000000000000").status_code == 404


def test_who_waits_for_a_lock_keeps_no_reader_waiting(
    app: FastAPI, http: TestClient, database: Database
) -> None:
    with database.writing() as session:
        job_id = add_job(session, owner="local").id
    with ThreadPoolExecutor(2 * deps.WRITES_AT_ONCE) as threads:
        with database.writing() as session:
            rows.lock(session, Job, "local", job_id)
            cancels = [
                threads.submit(http.post, f"/v1/jobs/{job_id}/cancel") for _ in range(2 * deps.WRITES_AT_ONCE)
            ]
            wait_for(app.state.writes.locked)
            assert http.get(f"/v1/jobs/{job_id}").json()["state"] == "queued"
            assert not any(one.done() for one in cancels)
        assert {one.result().status_code for one in cancels} == {202}
