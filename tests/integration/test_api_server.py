"""`python -m api` on a real port: memory, clients that go away, open streams, and whom it refuses."""

import hashlib
import json
import re
import socket
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from core.db.models import Upload
from core.db.session import Database
from tests.support.api import SMALL, make_ready
from tests.support.service import ROOT, Service

MiB = 1 << 20
SIZE = 256 * MiB
IDLE_SECONDS = 0.5


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """An API without a worker."""
    running = Service(tmp_path_factory.mktemp("api") / "data", CONDENSERY_IDLE_SECONDS=str(IDLE_SECONDS))
    running.migrate()
    running.start_api()
    yield running
    running.stop()


@pytest.fixture
def database(service: Service) -> Iterator[Database]:
    made = Database(f"sqlite+pysqlite:///{service.data_dir / 'condensery.db'}")
    yield made
    made.engine.dispose()


def uploads(database: Database) -> int:
    with database.reading() as session:
        return session.query(Upload).count()


def memory(pid: int, field: str) -> int:
    """Bytes: VmRSS is now, VmHWM the most ever."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_flat_however_large_an_upload_is(service: Service) -> None:
    block, digest = bytes(range(256)) * (MiB // 256), hashlib.sha256()

    def body(size: int) -> Iterator[bytes]:
        for _ in range(size // MiB):
            digest.update(block)
            yield block

    with httpx2.Client(base_url=service.url, timeout=60) as http:
        http.put("/v1/uploads", content=body(2 * MiB)).raise_for_status()  # whatever is loaded only once
        digest = hashlib.sha256()
        before = memory(service.api_pid, "VmHWM")
        made = http.put("/v1/uploads", content=body(SIZE)).raise_for_status().json()
        grown = memory(service.api_pid, "VmHWM") - before
        assert (made["size"], made["sha256"]) == (SIZE, digest.hexdigest())
        with (service.data_dir / "blobs" / "uploads" / made["id"]).open("rb") as stored:
            assert hashlib.file_digest(stored, "sha256").hexdigest() == made["sha256"]
        http.delete(f"/v1/uploads/{made['id']}").raise_for_status()
    print(f"grown by {grown / MiB:.1f} MiB")
    assert grown < 32 * MiB


def put(service: Service, *headers: str, body: bytes = b"", hang_up: bool = False) -> bytes:
    """The raw answer to the raw beginning of an upload."""
    return raw(service, "PUT /v1/uploads", *headers, body=body, hang_up=hang_up)


def raw(service: Service, what: str, *headers: str, body: bytes, hang_up: bool) -> bytes:
    with socket.create_connection(("127.0.0.1", service.port), timeout=120) as connection:
        close = (f"Host: localhost:{service.port}", "Connection: close")
        head = [f"{what} HTTP/1.1", *close, *headers, "", ""]
        connection.sendall("\r\n".join(head).encode() + body)
        if hang_up:
            return b""
        with connection.makefile("rb") as answer:
            return answer.read()


def requests_logged(service: Service) -> int:
    return service.log.read_text().count('"method": "PUT"')


def test_upload_that_is_too_large_is_refused_before_it_is_sent(service: Service, database: Database) -> None:
    before = uploads(database)
    answer = put(service, f"Content-Length: {1 << 50}")
    assert answer.startswith(b"HTTP/1.1 413")
    problem = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert problem["value"] == 1 << 50
    assert problem["limit"] == 16 << 30
    assert uploads(database) == before


def test_client_that_goes_away_leaves_nothing(service: Service, database: Database) -> None:
    rows, blobs, logged = uploads(database), service.blobs(), requests_logged(service)
    put(service, "Content-Length: 5000000", body=b"x" * 3_000_000, hang_up=True)
    put(service, "Transfer-Encoding: chunked", body=b"5\r\nhello\r\n", hang_up=True)
    service.wait_until(lambda: requests_logged(service) == logged + 2)
    assert (uploads(database), service.blobs(), service.temporary()) == (rows, blobs, [])


def test_client_that_falls_silent_is_cut(service: Service, database: Database) -> None:
    rows, blobs = uploads(database), service.blobs()
    for headers, body in (("Content-Length: 5000000", b"x" * 3_000_000), ("Content-Length: 5", b"")):
        answer = put(service, headers, body=body)
        assert answer.startswith(b"HTTP/1.1 408")
        problem = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert problem["code"] == "body_too_slow"
        assert f"{IDLE_SECONDS:g} s after its first {len(body)} bytes" in problem["detail"]
    assert (uploads(database), service.blobs(), service.temporary()) == (rows, blobs, [])


@pytest.mark.parametrize("checksum", [False, True], ids=["", "with a checksum"])
@pytest.mark.parametrize("hang_up", [True, False], ids=["goes away", "falls silent"])
def test_what_came_of_a_piece_that_broke_off_is_kept(service: Service, hang_up: bool, checksum: bool) -> None:
    """But not of one with a checksum: nobody knows whether it holds."""
    tus, whole, part = {"Tus-Resumable": "1.0.0"}, b"x" * 5_000_000, 3_000_000
    piece = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    if checksum:
        piece["Upload-Checksum"] = f"sha256 {b64encode(hashlib.sha256(whole).digest()).decode()}"
    with httpx2.Client(base_url=service.url, timeout=120) as http:
        made = http.post("/v1/uploads", headers={**tus, "Upload-Length": str(len(whole))})
        path = made.headers["location"]
        headers = [f"{k}: {v}" for k, v in {**tus, **piece, "Content-Length": str(len(whole))}.items()]
        answer = raw(service, f"PATCH {path}", *headers, body=whole[:part], hang_up=hang_up)
        assert hang_up or (answer.startswith(b"HTTP/1.1 408") and b"body_too_slow" in answer)
        stands = 0 if checksum else part
        service.wait_until(lambda: f'"PATCH", "path": "{path}"' in service.log.read_text())
        assert http.head(path, headers=tus).headers["upload-offset"] == str(stands)
        piece |= {"Upload-Offset": str(stands)}
        assert http.patch(path, headers={**tus, **piece}, content=whole[stands:]).status_code == 204
        assert http.get(path).json()["sha256"] == hashlib.sha256(whole).hexdigest()
    assert service.partial() == {}


def queued_job(service: Service, database: Database) -> str:
    with httpx2.Client(base_url=service.url) as http:
        upload_id = http.put("/v1/uploads", content=b"x").json()["id"]
        dataset_id = http.post("/v1/datasets", json={"upload_id": upload_id}).json()["id"]
        make_ready(database, dataset_id)
        return str(http.post("/v1/jobs", json={"dataset_id": dataset_id, **SMALL}).json()["id"])


def test_open_streams_hold_no_connection_to_the_database(service: Service, database: Database) -> None:
    """More streams than the pool has connections; each gets the end when it comes."""
    path = f"/v1/jobs/{queued_job(service, database)}"
    streams = 40
    limits = httpx2.Limits(max_connections=streams + 1)
    with httpx2.Client(base_url=service.url, timeout=120, limits=limits) as http, ExitStack() as stack:
        bodies = []
        for _ in range(streams):
            response = stack.enter_context(http.stream("GET", f"{path}/events/stream"))
            assert response.status_code == 200
            lines = response.iter_lines()
            while next(lines) != "event: queued":
                pass
            bodies.append(lines)
        assert http.get(path).json()["state"] == "queued"
        assert http.post(f"{path}/cancel").json()["state"] == "cancelled"
        for lines in bodies:
            assert [line for line in lines if line.startswith("event:")] == ["event: cancelled", "event: end"]


def test_stream_of_a_data_set_that_is_deleted_ends(service: Service) -> None:
    with httpx2.Client(base_url=service.url, timeout=120) as http:
        upload_id = http.put("/v1/uploads", content=b"x").json()["id"]
        path = f"/v1/datasets/{http.post('/v1/datasets', json={'upload_id': upload_id}).json()['id']}"
        with http.stream("GET", f"{path}/events/stream") as response:
            lines = response.iter_lines()
            while next(lines) != "event: ingesting":
                pass
            http.delete(path).raise_for_status()
            assert not [line for line in lines if line.startswith("event:")]
        assert http.get(f"{path}/events/stream").status_code == 404


def test_other_requests_are_served_while_one_uploads(service: Service) -> None:
    asked, answered = threading.Event(), threading.Event()

    def body() -> Iterator[bytes]:
        yield b"x" * MiB
        asked.set()
        assert answered.wait(120)
        yield b"x"

    def send() -> None:
        httpx2.put(f"{service.url}/v1/uploads", content=body(), timeout=120)

    sender = threading.Thread(target=send)
    sender.start()
    assert asked.wait(120)
    try:
        assert httpx2.get(f"{service.url}/v1/uploads").status_code == 200
    finally:
        answered.set()
        sender.join()


def test_open_to_the_network_only_with_keys(tmp_path: Path) -> None:
    service = Service(tmp_path / "data", CONDENSERY_HOST="0.0.0.0")
    service.migrate()
    refused = subprocess.run(
        [sys.executable, "-m", "api"],
        env=service.environment, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert refused.returncode == 2
    assert "refusing to listen on 0.0.0.0: there are no API keys" in refused.stderr
    command = "python -m core.admin keys create --owner NAME --scope admin"
    assert command in refused.stderr

    _, _, module, *arguments = command.split()
    token = service.run(module, *arguments).stdout.strip()
    service.start_api()
    try:
        assert httpx2.get(f"{service.url}/v1/jobs").status_code == 401
        authorised = httpx2.get(f"{service.url}/v1/jobs", headers={"Authorization": f"Bearer {token}"})
        assert authorised.status_code == 200
    finally:
        service.stop()
    assert token.partition(".")[2] not in service.log.read_text()


def test_an_upload_on_the_heels_of_another_request(service: Service) -> None:
    """A client may send its next request before the end of an answer is noted, as after a download."""
    body = bytes(range(256)) * (4 * MiB // 256)
    head = f"PUT /v1/uploads HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", service.port), timeout=120) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + head + body)
        answers = b""
        while hashlib.sha256(body).hexdigest().encode() not in answers:
            part = connection.recv(1 << 16)
            assert part, answers
            answers += part
