"""A running service of each kind, shared by the tests that do not disturb it."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import make_url

from condensery import Client
from examples.digits import write_zip
from tests.support.databases import empty_postgres
from tests.support.service import Service

KINDS = ["embedded", pytest.param("production", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def digits_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("digits") / "digits.zip"
    write_zip(path)
    return path


def settings_of(kind: str, request: pytest.FixtureRequest, stack: ExitStack, number: int) -> dict[str, str]:
    """`number` sets services apart that run at once: by their database of Redis, or each would take the
    other's messages."""
    if kind == "embedded":
        return {}
    database = stack.enter_context(empty_postgres(request.getfixturevalue("postgres_server")))
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    redis = make_url(request.getfixturevalue("redis_address")).set(database=str(2 * process + number))
    return {
        "CONDENSERY_DATABASE_URL": database,
        "CONDENSERY_BROKER_URL": redis.render_as_string(hide_password=False),
    }


@pytest.fixture(scope="session", params=KINDS)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """SQLite and files, or PostgreSQL and Redis."""
    with ExitStack() as stack:
        settings = settings_of(request.param, request, stack, 1)
        settings["CONDENSERY_WEBHOOK_ALLOWED_HOSTS"] = '["127.0.0.1"]'
        running = Service(tmp_path_factory.mktemp(request.param), **settings)
        stack.callback(running.stop)
        yield running.start()


@pytest.fixture(params=KINDS)
def own_service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    """A service for one test alone, to be killed and restarted. Not started yet."""
    with ExitStack() as stack:
        running = Service(tmp_path / "data", **settings_of(request.param, request, stack, 2))
        stack.callback(running.stop)
        yield running


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with service.client() as made:
        yield made
