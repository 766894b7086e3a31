"""Event streams: nothing lost or doubled, whatever clients, writers and the database do."""

import asyncio
import random
import socket
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import create_engine, make_url, text, update

from api.__main__ import SHUTDOWN_SECONDS
from api.app import create_app
from api.events import hub as event_hub
from api.events import stream as event_stream
from api.events.hub import EventHub
from api.events.stream import KEEPALIVE_SECONDS
from api.events.topic import KEPT_BYTES
from api.security import KEY_SECONDS
from core.db.models import ApiKey, Job
from core.db.session import Database
from core.db.types import db_now
from core.settings import Settings
from core.storage.local import LocalStorage
from core.work.transitions import record
from tests.support.api import bring, token_of
from tests.support.leased import add_job
from tests.support.processes import wait_for
from tests.support.service import Service
from tests.support.streams import StreamClient

SECONDS = 120


def new_job(database: Database, owner: str = "local") -> str:
    with database.writing() as session:
        return add_job(session, owner=owner).id


def write_events(database: Database, job_id: str, count: int, filling: str = "") -> None:
    for n in range(count):
        with database.writing() as session:
            assert record(session, Job, job_id, "progress", {"iteration": n, "filling": filling})


def hub_of(app: FastAPI) -> EventHub:
    hub: EventHub = app.state.event_hub
    return hub


async def ids_to_the_end(app: FastAPI, path: str, chance: random.Random | None = None) -> list[int]:
    """The ids that a client sees which hangs up now and then and comes back, until `end`."""
    seen: list[int] = []
    while True:
        async with StreamClient(app, path, seen[-1] if seen else 0) as stream:
            assert stream.status == 200
            for _ in range(chance.randrange(1, 12) if chance else 1_000_000):
                message = await stream.next()
                assert message is not None
                if message["event"] == "end":
                    return seen
                seen.append(int(message["id"]))


def test_reconnecting_amid_writes_loses_and_doubles_nothing(app: FastAPI, database: Database) -> None:
    jobs = [new_job(database) for _ in range(3)]
    count = 60

    def write(job_id: str) -> None:
        write_events(database, job_id, count)
        bring(database, job_id, "running", "succeeded")

    async def scenario() -> None:
        clients = [
            ids_to_the_end(app, f"/v1/jobs/{job_id}", chance)
            for job_id in jobs
            for chance in (None, random.Random(1), random.Random(2), random.Random(3))
        ]
        writers = [asyncio.to_thread(write, job_id) for job_id in jobs]
        async with asyncio.timeout(SECONDS):
            *seen, _, _, _ = await asyncio.gather(*clients, *writers)
        # 1 of its making, and of the two changes of its state.
        assert seen == [list(range(1, count + 4))] * len(clients)

    asyncio.run(scenario())


def test_client_that_does_not_read_costs_no_memory_and_misses_nothing(
    app: FastAPI, database: Database
) -> None:
    job_id = new_job(database)
    count, filling = 300, "x" * 2000

    async def scenario() -> None:
        path = f"/v1/jobs/{job_id}"
        async with StreamClient(app, path) as slow, StreamClient(app, path) as quick:
            for stream in (slow, quick):
                assert (await stream.next() or {})["id"] == "1"
            writing = asyncio.create_task(asyncio.to_thread(write_events, database, job_id, count, filling))
            largest = 0
            for n in range(2, count + 2):
                assert (await quick.next() or {})["id"] == str(n)
                (topic,) = hub_of(app)._topics.values()
                assert topic.size == sum(len(encoded) for _, encoded in topic.kept)
                largest = max(largest, topic.size)
            await writing
            assert KEPT_BYTES / 2 < largest <= KEPT_BYTES + 2 * 100 * len(filling)
            assert largest < count * len(filling)
            for n in range(2, count + 2):
                assert (await slow.next() or {})["id"] == str(n)

    asyncio.run(asyncio.wait_for(scenario(), SECONDS))


def test_streams_of_one_owner_and_in_all_are_limited(
    settings: Settings, database: Database, storage: LocalStorage
) -> None:
    few = settings.model_copy(update={"max_streams": 3, "owner_streams": 2})
    app = create_app(few, database, storage)
    a, b = token_of(database, "a"), token_of(database, "b")
    path_a, path_b = (f"/v1/jobs/{new_job(database, owner)}" for owner in "ab")

    async def refused(path: str, token: str) -> tuple[int, str, int]:
        async with StreamClient(app, path, token=token) as stream:
            problem = await stream.body()
            return stream.status, problem["code"], problem["limit"]

    async def scenario() -> None:
        async with StreamClient(app, path_a, token=a) as first, StreamClient(app, path_a, token=a):
            assert first.status == 200
            assert await refused(path_a, a) == (429, "too_many_streams", 2)
            async with StreamClient(app, path_b, token=b) as third:
                assert third.status == 200
                assert await refused(path_b, b) == (503, "streams_exhausted", 3)
            async with StreamClient(app, path_b, token=b) as again:
                assert again.status == 200
        async with StreamClient(app, path_a, token=a) as again:
            assert again.status == 200

    asyncio.run(asyncio.wait_for(scenario(), SECONDS))


def test_streams_outlive_a_database_that_is_away(
    settings: Settings, database_url: str, database: Database, postgres_server: str, storage: LocalStorage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """PostgreSQL: every connection cut, and none let in for a while; events written right afterwards."""
    if not database_url.startswith("postgresql"):
        pytest.skip("a file is never away")
    monkeypatch.setattr(event_hub, "RETRY_SECONDS", 0.05)
    name = make_url(database_url).database
    admin = create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    cut = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
    app = create_app(settings, database, storage)
    job_id = new_job(database)

    async def scenario() -> None:
        async with StreamClient(app, f"/v1/jobs/{job_id}") as stream:
            assert (await stream.next() or {})["id"] == "1"
            with admin.connect() as connection:
                connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
                connection.execute(cut, {"name": name})
                while hub_of(app).reading_database:
                    await asyncio.sleep(0.01)
                connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))
            await asyncio.to_thread(write_events, database, job_id, 5)
            await asyncio.to_thread(bring, database, job_id, "cancelled")
            seen = [await stream.next() for _ in range(8)]
            assert [message and message.get("id") for message in seen] == [*"234567", None, None]
            assert [message and message["event"] for message in seen][-2:] == ["end", None]

    try:
        asyncio.run(asyncio.wait_for(scenario(), SECONDS))
    finally:
        with admin.connect() as connection:  # for the tests that come after
            connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))
        admin.dispose()


def test_stream_without_news_sends_comments(
    app: FastAPI, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "KEEPALIVE_SECONDS", 0.05)
    job_id = new_job(database)

    async def scenario() -> None:
        async with StreamClient(app, f"/v1/jobs/{job_id}") as stream:
            await stream.next()
            later = asyncio.create_task(stream.next())
            while stream.comments < 2:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(write_events, database, job_id, 1)
            assert (await later or {})["id"] == "2"

    asyncio.run(asyncio.wait_for(scenario(), SECONDS))


@pytest.mark.parametrize("over", [{"revoked_at": db_now(-1)}, {"expires_at": db_now(-1)}])
def test_streams_end_with_their_key(app: FastAPI, database: Database, over: dict[str, Any]) -> None:
    job_id, other_key = new_job(database, "owner"), token_of(database, "owner", "read")
    token = token_of(database, "owner", "read")

    async def scenario() -> None:
        path = f"/v1/jobs/{job_id}"
        async with (
            StreamClient(app, path, token=token) as stream,
            StreamClient(app, path, token=other_key) as other,
        ):
            await stream.next()
            await other.next()
            with database.writing() as session:
                session.execute(update(ApiKey).where(ApiKey.id == token.partition(".")[0]).values(**over))
            assert await stream.next() is None
            await asyncio.to_thread(write_events, database, job_id, 1)
            assert (await other.next() or {})["id"] == "2"
        await asyncio.sleep(KEY_SECONDS)  # for so long a key is remembered
        async with StreamClient(app, path, token=token) as again:
            assert again.status == 401

    asyncio.run(asyncio.wait_for(scenario(), SECONDS))


def test_nothing_is_left_of_streams_that_ended(app: FastAPI, database: Database) -> None:
    job_id = new_job(database)

    async def scenario() -> None:
        async with StreamClient(app, f"/v1/jobs/{job_id}") as stream:
            await stream.next()
            polling = hub_of(app)._polling
            assert polling is not None
        async with asyncio.timeout(5):
            await polling
        assert hub_of(app)._topics == {}
        assert not hub_of(app)._open

    asyncio.run(asyncio.wait_for(scenario(), SECONDS))


def test_stopping_the_server_ends_streams_at_once_and_they_go_on_later(tmp_path: Path) -> None:
    service = Service(tmp_path / "data")
    service.migrate()
    database = Database(f"sqlite+pysqlite:///{service.data_dir / 'condensery.db'}")
    job_id = new_job(database)
    url = f"{service.url}/v1/jobs/{job_id}/events/stream"
    service.start_api()
    try:
        with httpx2.Client(timeout=120) as http, http.stream("GET", url) as answer:
            lines = answer.iter_lines()
            while next(lines) != "id: 1":
                pass
            began = time.monotonic()
            service.terminate_api()
            assert not [line for line in lines if line.startswith("event:")]
            assert time.monotonic() - began < SHUTDOWN_SECONDS, "not only when it is cut"
            service.stop_api()
            assert time.monotonic() - began < 10
        service.start_api()
        bring(database, job_id, "cancelled")
        answer = httpx2.get(url, headers={"Last-Event-ID": "1"}, timeout=120)
        events = [line for line in answer.text.splitlines() if line.startswith("event:")]
        assert events == ["event: cancelled", "event: end"]
    finally:
        service.stop()
        database.engine.dispose()


@pytest.mark.parametrize("header", ["", "Content-Length: 9\r\n"], ids=["plain", "body-that-never-comes"])
def test_stream_whose_client_has_left_gives_its_place_back_at_once(tmp_path: Path, header: str) -> None:
    service = Service(tmp_path / "data", CONDENSERY_OWNER_STREAMS="1")
    service.migrate()
    database = Database(f"sqlite+pysqlite:///{service.data_dir / 'condensery.db'}")
    path = f"/v1/jobs/{new_job(database)}/events/stream"
    service.start_api()

    def is_admitted() -> bool:
        # Nothing but the connection says that it leaves: long before the next comment would.
        with socket.create_connection(("127.0.0.1", service.port), timeout=120) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n".encode())
            lines = client.makefile("rb")
            status = lines.readline().split()[1]
            assert status in (b"200", b"429")
            return status == b"200" and b"id: 1\n" in lines

    try:
        for _ in range(3):
            wait_for(is_admitted, seconds=KEEPALIVE_SECONDS / 2)
    finally:
        service.stop()
        database.engine.dispose()
