"""Condensed sets over HTTP."""

from typing import Any

from starlette.testclient import TestClient

from core.db.session import Database
from tests.support.api import (
    bring,
    queued_job,
    upload,
)

PATH = "/v1/condensed-sets"


def request_set(http: TestClient, **body: Any) -> dict[str, Any]:
    response = http.post(PATH, json={"upload_id": upload(http)["id"], **body})
    assert response.status_code == 202, response.text
    made: dict[str, Any] = response.json()
    return made


def finished_job(http: TestClient, database: Database) -> str:
    job_id = queued_job(http, database)
    bring(database, job_id, "running", "succeeded")
    return job_id
