"""Downloads from `python -m api`, which leaves the copying to the kernel: over one connection, and many."""

import hashlib
import random
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import make_url

from bench.upload import resident
from core.db.session import Database
from core.storage.local import LocalStorage
from tests.support.api import SMALL, add_artifact, make_ready
from tests.support.service import Service

MiB = 1 << 20
#: More than the buffers of a socket hold, and no multiple of anything.
CONTENT = random.Random(0).randbytes(24 * MiB + 12345)
READERS = 100


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, sqlite_template: str) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("api") / "data")
    shutil.copyfile(str(make_url(sqlite_template).database), running.data_dir / "condensery.db")
    running.start_api()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def path(service: Service) -> str:
    database = Database(f"sqlite+pysqlite:///{service.data_dir / 'condensery.db'}")
    with httpx2.Client(base_url=service.url) as http:
        upload = http.put("/v1/uploads", content=b"x").json()["id"]
        dataset = http.post("/v1/datasets", json={"upload_id": upload}).json()["id"]
        make_ready(database, dataset)
        job = http.post("/v1/jobs", json={"dataset_id": dataset, **SMALL}).json()["id"]
    made = add_artifact(database, LocalStorage(service.data_dir), job, CONTENT)
    database.engine.dispose()
    return f"/v1/artifacts/{made.id}/content"


def copied(service: Service) -> bool:
    """Whether the server has a blob open: it sends from the file, and reads nothing of it."""
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
        assert copied(service)
        assert httpx2.get(f"{service.url}/healthz").status_code == 200
    print(f"grown by {grown / MiB:.1f} MiB with {READERS} readers")
    assert grown < 64 * MiB
    service.wait_until(lambda: not copied(service))
