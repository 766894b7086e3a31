"""A browser, a running service and what it has: a data set, a finished job, and jobs without an end."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Page

from tests.support.browser import chromium, sign_in, watched
from tests.support.service import Service


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="package")
def service(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Embedded: what is tested here does not depend on the database."""
    running = Service(tmp_path_factory.mktemp("page"))
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture(scope="package")
def token(service: Service) -> str:
    made = httpx2.post(f"{service.url}/v1/keys", json={"name": "first", "scope": "admin"})
    return str(made.json()["token"])


@pytest.fixture(scope="package")
def api(service: Service, token: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=service.url, headers={"Authorization": f"Bearer {token}"}) as made:
        yield made


@pytest.fixture
def page(browser: Browser, service: Service, token: str) -> Iterator[Page]:
    with watched(browser, service.url) as made:
        sign_in(made, token)
        yield made


@pytest.fixture(scope="package")
def dataset_id(api: httpx2.Client, digits_zip: Path) -> str:
    upload = api.put("/v1/uploads", content=digits_zip.read_bytes()).json()
    made = api.post("/v1/datasets", json={"upload_id": upload["id"], "name": "digits"}).json()
    api.get(f"/v1/datasets/{made['id']}/events/stream", timeout=60)  # until it is ready
    return str(made["id"])


@pytest.fixture(scope="package")
def finished(api: httpx2.Client, dataset_id: str) -> str:
    body: dict[str, Any] = {
        "dataset_id": dataset_id, "ipc": 1, "iterations": 20, "batch_real": 8, "network": {"width": 8},
        "evaluation": {
            "networks": 2, "epochs": 5, "whole_epochs": 1, "points": 3,
            "baselines": ["random", "herding", "whole"],
        },
    }  # fmt: skip
    job = api.post("/v1/jobs", json=body).json()
    api.get(f"/v1/jobs/{job['id']}/events/stream", timeout=120)
    return str(job["id"])


@pytest.fixture
def start_endless(api: httpx2.Client, dataset_id: str) -> Iterator[Callable[..., str]]:
    """Submits a job that is never done in time, and returns its id. It is cancelled after the test."""
    started: list[str] = []

    def start(iterations: int = 1_000_000) -> str:
        body = {
            "dataset_id": dataset_id,
            "ipc": 1,
            "batch_real": 8,
            "network": {"width": 8},
            "name": "endless",
        }
        job = api.post("/v1/jobs", json={**body, "iterations": iterations}).json()
        started.append(str(job["id"]))
        return started[-1]

    yield start
    for job_id in started:
        api.post(f"/v1/jobs/{job_id}/cancel")
