"""SIGTERM: what is under way ends well, nothing new begins, and the process is gone within 10 s."""

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from condensery import Client
from tests.support.service import Service, upload_dataset

#: Orchestrators kill what takes longer, if they are told so.
LONGEST_SECONDS = 10.0
JOB = {
    "ipc": 3,
    "iterations": 100_000,
    "batch_real": 64,
    "network": {"width": 16, "depth": 2},
    "evaluation": {"networks": 1, "epochs": 5, "baselines": []},
}


def seconds_of(act: Callable[[], object]) -> float:
    started = time.monotonic()
    act()
    return time.monotonic() - started


def begin_upload(service: Service, size: int, first: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", service.port), timeout=30)
    host = f"Host: localhost:{service.port}"
    head = f"PUT /v1/uploads HTTP/1.1\r\n{host}\r\nContent-Length: {size}\r\n\r\n"
    connection.sendall(head.encode() + first)
    service.wait_until(lambda: service.temporary() != [])
    return connection


@retry(stop=stop_after_delay(10), wait=wait_fixed(0.02), retry=retry_if_result(lambda refused: not refused))
def wait_until_refused(service: Service) -> bool:
    try:
        httpx2.get(f"{service.url}/healthz")
    except httpx2.ConnectError:
        return True
    return False


@pytest.fixture
def api(tmp_path: Path) -> Service:
    service = Service(tmp_path / "data")
    service.migrate()
    service.start_api()
    return service


def test_an_upload_under_way_is_finished(api: Service) -> None:
    with begin_upload(api, 10, b"12345") as connection:
        api.terminate_api()
        wait_until_refused(api)
        connection.sendall(b"67890")
        with connection.makefile("rb") as answer:
            assert answer.readline().startswith(b"HTTP/1.1 201")
    took = seconds_of(api.wait_for_api)
    assert len(api.blobs()) == 1
    assert took < LONGEST_SECONDS


def test_an_upload_that_does_not_end_is_cut(api: Service) -> None:
    with begin_upload(api, 10, b"12345"):
        took = seconds_of(api.stop_api)
    print(f"API out after {took:.1f} s")
    assert took < LONGEST_SECONDS
    assert (api.blobs(), api.temporary()) == ([], [])


def test_a_job_is_saved_and_waits_again(own_service: Service, digits_zip: Path) -> None:
    own_service.start()
    with own_service.client() as client:
        dataset = upload_dataset(client, digits_zip)
        made = client.post("/v1/jobs", {"dataset_id": dataset["id"], **JOB})
        for kind, _ in client.follow(f"/v1/jobs/{made['id']}"):
            if kind == "checkpoint":
                break
        ready = httpx2.get(f"{own_service.url}/readyz").json()
        assert ready["checks"]["broker"] == "ok"
        assert ready["workers"] < 10
        took = seconds_of(own_service.stop_worker)
        print(f"worker out after {took:.1f} s")
        assert took < LONGEST_SECONDS
        waiting = client.get(f"/v1/jobs/{made['id']}")
        assert waiting["state"] == "queued"
        assert waiting["progress"]["memory_bytes"] > 1 << 20
        assert httpx2.get(f"{own_service.url}/readyz").json()["workers"] is None
        events = client.get(f"/v1/jobs/{made['id']}/events")["data"]
        check_logs(own_service, client, made["id"], events[0]["data"]["request_id"])


def check_logs(service: Service, client: Client, job_id: str, request_id: str) -> None:
    """All of it is JSON, once, and lines of three processes can be joined with the request."""
    lines = [json.loads(line) for line in service.log.read_text().splitlines()]
    assert all({"timestamp", "level", "logger", "process", "event"} <= line.keys() for line in lines)
    of_request = [line for line in lines if line.get("request_id") == request_id]
    assert {line["process"] for line in of_request} == {"api", "worker", "runner"}
    of_worker = [line for line in of_request if line["process"] != "api"]
    assert {(line["row"], line["attempt"]) for line in of_worker} == {(job_id, 1)}
    assert not [line for line in lines if line["logger"].startswith(("celery", "uvicorn", "kombu"))]
