"""What is still served between SIGTERM and the closing of the sockets, and how ready the service is."""

import socket
import time

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api.app import create_app
from core.db.session import Database
from core.settings import Settings
from core.storage.local import LocalStorage
from tests.support.api import client_of, problem_of
from tests.support.leased import process_settings
from tests.support.servers import free_port

TUS = {"Tus-Resumable": "1.0.0"}


def test_no_new_uploads(app: FastAPI, http: TestClient) -> None:
    begun = http.post("/v1/uploads", headers={**TUS, "Upload-Length": "1"}).headers["location"]
    app.state.draining = True
    piece = {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    for refused in (
        http.put("/v1/uploads", content=b"x"),
        http.post("/v1/uploads", headers={**TUS, "Upload-Length": "1"}),
        http.patch(begun, content=b"x", headers=piece),
    ):
        problem_of(refused, 503, "shutting_down")
        assert refused.headers["connection"] == "close"
        assert int(refused.headers["retry-after"]) > 0
    assert http.get("/v1/uploads").status_code == 200
    ready = http.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["checks"]["server"] == "shutting down"


def test_ready_without_a_broker_and_without_workers(http: TestClient) -> None:
    answer = http.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "checks": {"database": "ok", "storage": "ok", "broker": "ok"},
        "workers": None,
    }


def test_ready_while_the_broker_is_away(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, database: Database, storage: LocalStorage
) -> None:
    broker = f"redis://127.0.0.1:{free_port()}/0"
    with process_settings(monkeypatch, data_dir=settings.data_dir, broker_url=broker) as away:
        with client_of(create_app(away, database, storage)) as http:
            started = time.monotonic()
            answer = http.get("/readyz")
        assert answer.status_code == 200
        assert answer.json()["checks"]["broker"] == "unreachable: jobs start later"
        assert time.monotonic() - started < 5


def test_ready_while_the_broker_says_nothing(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, database: Database, storage: LocalStorage
) -> None:
    """A probe is given a second; left to its defaults, the client of Redis would take 15."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        broker = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        with (
            process_settings(monkeypatch, data_dir=settings.data_dir, broker_url=broker) as away,
            client_of(create_app(away, database, storage)) as http,
        ):
            http.get("/healthz")
            started = time.monotonic()
            answer = http.get("/readyz")
            took = time.monotonic() - started
    assert answer.json()["checks"]["broker"] == "unreachable: jobs start later"
    print(f"{took:.2f} s")
    assert took < 5
