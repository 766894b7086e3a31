"""Wake-ups: what arrives at a broker, and what a broker that is down may not do."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import structlog
from kombu import Connection

from core.db.models import CondensedSet, Dataset, Job, Trial
from core.db.session import Database
from core.kinds import KINDS
from core.settings import get_settings
from core.vocabulary import QUEUES
from core.work import wake_ups
from tests.support.leased import add_dataset, add_job, job_of, process_settings
from tests.support.servers import free_port

BROKERS = ["filesystem", "redis"]
#: Left to its defaults, kombu takes 6 s and more.
QUIET_SECONDS = 5.0


@contextmanager
def broker(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[None]:
    values: dict[str, object] = {"data_dir": folder / "data"}
    if kind == "redis":
        values["broker_url"] = request.getfixturevalue("redis_address")
        with redis.Redis.from_url(str(values["broker_url"])) as server:
            server.flushdb()
    with process_settings(request.getfixturevalue("monkeypatch"), **values):
        yield


@pytest.fixture(params=BROKERS)
def any_broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    with broker(request.param, request, tmp_path):
        yield


def received(name: str) -> list[tuple[str, dict[str, Any]]]:
    """(task, arguments) of every message in a queue, taken as a worker takes them."""
    found = []
    with Connection(
        get_settings().broker,
        transport_options=wake_ups.make_celery(get_settings()).conf.broker_transport_options,
    ) as connection:
        channel = connection.channel()
        while (message := channel.basic_get(name, no_ack=True)) is not None:
            _, arguments, _ = json.loads(message.body)
            found.append((message.headers["task"], arguments))
    return found


@pytest.mark.parametrize(
    ("phase", "served_by"),
    [
        ("condense", "gpu"),
        ("evaluate", "gpu"),
        ("export", "cpu"),
    ],
)
@pytest.mark.usefixtures("any_broker")
def test_the_wake_up_of_a_job_arrives(database: Database, phase: str, served_by: str) -> None:
    with database.writing() as session:
        job = add_job(session, phase=phase, fence=3)
        wake_ups.wake(session, job)
    assert received(served_by) == [(wake_ups.WORK, {"queue": served_by})]
    assert received("gpu" if served_by == "cpu" else "cpu") == []
    assert job_of(database, job.id).dispatched_at is not None


@pytest.mark.usefixtures("any_broker")
def test_the_wake_up_of_a_data_set_arrives(database: Database) -> None:
    with database.writing() as session:
        dataset = add_dataset(session)
        wake_ups.wake(session, dataset)
    assert received("cpu") == [(wake_ups.WORK, {"queue": "cpu"})]
    assert received("gpu") == []


@pytest.mark.usefixtures("any_broker")
def test_nothing_is_sent_before_the_commit_or_after_a_rollback(database: Database) -> None:
    with pytest.raises(RuntimeError), database.writing() as session:
        wake_ups.wake(session, add_job(session))
        assert received("gpu") == []
        raise RuntimeError
    assert received("gpu") == []


def test_every_waiting_row_has_a_queue_that_serves_it() -> None:
    phases = [phase for kind in KINDS.values() for phase in kind.phases]
    assert phases and all(phase.queue in QUEUES for phase in phases)
    assert [wake_ups.queue_of(Job(queue=queue)) for queue in QUEUES] == list(QUEUES)
    assert {wake_ups.queue_of(row) for row in (Trial(), Dataset(), CondensedSet())} <= set(QUEUES)


@contextmanager
def silent_server() -> Iterator[int]:
    """A broker that takes connections and never answers, as behind a half-open link."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def wake_for_new_job(database: Database) -> tuple[str, float, list[dict[str, Any]]]:
    """Send the wake-up of a new job. Returns its id, the seconds that it took and the log."""
    began = time.monotonic()
    with structlog.testing.capture_logs() as logs, database.writing() as session:
        job = add_job(session)
        wake_ups.wake(session, job)
    return job.id, time.monotonic() - began, [dict(line) for line in logs]


@pytest.mark.parametrize("failure", ["closed port", "silent"])
def test_a_redis_that_is_down_fails_no_request(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    with silent_server() as silent:
        port = silent if failure == "silent" else free_port()
        address = f"redis://127.0.0.1:{port}/0"
        with process_settings(monkeypatch, data_dir=tmp_path / "data", broker_url=address):
            for _ in range(2):  # the first makes the connection, the second meets the broken one
                job_id, seconds, logs = wake_for_new_job(database)
                assert seconds < QUIET_SECONDS
                assert job_of(database, job_id).state == "queued"
                (warning,) = [line for line in logs if line["log_level"] == "warning"]
                assert warning["row"] == job_id and "wake-up not sent" in warning["event"]


def test_a_folder_that_is_gone_fails_no_request(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with process_settings(monkeypatch, data_dir=tmp_path / "data"):
        wake_for_new_job(database)
        messages = tmp_path / "data" / "broker" / "messages"
        messages.rename(messages.with_name("elsewhere"))
        job_id, _, logs = wake_for_new_job(database)
    assert job_of(database, job_id).state == "queued"
    assert [line["log_level"] for line in logs] == ["warning"]
