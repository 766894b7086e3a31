"""Event streams of the real server: what goes at once to who waits, and what waits for who is slow."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from bench.upload import resident
from core.db.models import Job
from core.db.session import Database
from core.work.transitions import record
from tests.support.api import bring
from tests.support.leased import add_job
from tests.support.service import Service

#: Many times what the server and the kernel hold for a client that does not read.
COUNT, FILLING = 50, "x" * 1_000_000


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    running = Service(tmp_path / "data")
    running.migrate()
    running.start_api()
    yield running
    running.stop()


def stream(service: Service, job_id: str) -> BinaryIO:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 10)
    client.settimeout(30)
    client.connect(("127.0.0.1", service.port))
    client.sendall(f"GET /v1/jobs/{job_id}/events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return client.makefile("rb")


def ids(answer: BinaryIO) -> Iterator[int]:
    """The ids of events as they come, until the closing one."""
    for line in answer:
        if line == b"event: end\n":
            return
        if found := re.fullmatch(rb"id: (\d+)\n", line):
            yield int(found[1])


def test_each_event_comes_once_to_the_quick_and_to_the_slow(service: Service) -> None:
    database = Database(f"sqlite+pysqlite:///{service.data_dir / 'condensery.db'}")
    with database.writing() as session:
        job_id = add_job(session, owner="local").id
    quick, other, slow = (ids(stream(service, job_id)) for _ in range(3))
    assert [next(quick), next(other), next(slow)] == [1, 1, 1]
    before = resident(service.api_pid, "VmRSS")
    for number in range(2, COUNT + 2):
        with database.writing() as session:
            assert record(session, Job, job_id, "progress", {"filling": FILLING})
        # The next is written when these have it: they wait for it.
        assert [next(quick), next(other)] == [number, number]
    assert resident(service.api_pid, "VmRSS") - before < COUNT * len(FILLING) / 2
    bring(database, job_id, "cancelled")
    database.engine.dispose()
    assert [*quick] == [*other] == [COUNT + 2]
    assert [*slow] == [*range(2, COUNT + 3)]
