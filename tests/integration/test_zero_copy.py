"""Downloads from `python -m api`, which leaves the copying to the kernel: over one connection, and many."""

import hashlib
import os
import random
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx2
import pytest

from bench.upload import resident
from tests.support.api import offer
from tests.support.service import Service

MiB = 1 << 20
#: More than the buffers of a socket hold, and no multiple of anything.
CONTENT = random.Random(0).randbytes(24 * MiB + 12345)
READERS = 100


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("api") / "data")
    running.migrate()
    running.start_api()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def path(service: Service) -> str:
    return offer(service, CONTENT)


def blob_is_open(service: Service) -> bool:
    open_files = Path(f"/proc/{service.api_pid}/fd").iterdir()
    return any("/blobs/" in str(one.readlink()) for one in open_files if one.is_symlink())


def test_one_connection_for_wholes_and_parts(service: Service, path: str) -> None:
    with httpx2.Client(base_url=service.url, limits=httpx2.Limits(max_connections=1)) as http:
        for first, last in ((0, len(CONTENT) - 1), (5, 5), (MiB - 1, 20 * MiB), (len(CONTENT) - 1, 2**40)):
            part = http.get(path, headers={"Range": f"bytes={first}-{last}"})
            assert (part.status_code, part.content) == (206, CONTENT[first : last + 1])
        whole = http.get(path)
        assert whole.headers["content-length"] == str(len(CONTENT))
        assert hashlib.sha256(whole.content).digest() == hashlib.sha256(CONTENT).digest()
        assert http.head(path).headers["content-length"] == str(len(CONTENT))
        assert http.get("/healthz").status_code == 200


def test_the_next_request_may_come_before_the_download_has(service: Service, path: str) -> None:
    with socket.create_connection(("127.0.0.1", service.port)) as reader:
        asked = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        last = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        reader.sendall((asked + last).encode())
        answers = b"".join(iter(lambda: reader.recv(1 << 20), b""))
    head, _, rest = answers.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200") and rest.startswith(CONTENT)
    assert rest[len(CONTENT) :].startswith(b"HTTP/1.1 200")


def test_a_file_that_ends_too_early_ends_the_connection_and_is_logged(service: Service, path: str) -> None:
    (blob,) = (one for one in (service.data_dir / "blobs" / "jobs").rglob("art_*") if one.is_file())
    try:
        with socket.create_connection(("127.0.0.1", service.port)) as reader:
            reader.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            come = reader.recv(1000)
            os.truncate(blob, len(CONTENT) - 1)
            with suppress(ConnectionError):
                while piece := reader.recv(1 << 20):
                    come += piece
        _, _, content = come.partition(b"\r\n\r\n")
        assert len(content) < len(CONTENT)
        service.wait_until(lambda: b"a download broke off" in service.log.read_bytes())
    finally:
        blob.write_bytes(CONTENT)
    assert httpx2.get(service.url + path).content == CONTENT


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_slow_readers_cost_no_memory_and_what_they_held_is_free_when_they_hang_up(
    service: Service, path: str
) -> None:
    httpx2.get(service.url + path)
    before = resident(service.api_pid, "VmRSS")
    with ExitStack() as stack:
        for _ in range(READERS):
            reader = stack.enter_context(socket.create_connection(("127.0.0.1", service.port)))
            reader.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert reader.recv(1000).startswith(b"HTTP/1.1 200")
        grown = resident(service.api_pid, "VmRSS") - before
        assert blob_is_open(service)
        assert httpx2.get(f"{service.url}/healthz").status_code == 200
    print(f"grown by {grown / MiB:.1f} MiB with {READERS} readers")
    assert grown < 64 * MiB
    service.wait_until(lambda: not blob_is_open(service))
