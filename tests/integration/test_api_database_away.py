"""A database that is away, busy or read-only: 503 with Retry-After, and back without a restart."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from sqlalchemy import create_engine, text

from api.app import create_app
from core.db.migrate import upgrade
from core.db.session import Database
from core.settings import Settings
from core.storage.local import LocalStorage
from tests.faults.daemons import Postgres
from tests.support.api import client_of, problem_of, token_of
from tests.support.calls import content_of
from tests.support.databases import migrated_sqlite

KINDS = ("upload", "dataset", "job", "artifact", "condensed_set", "key", "webhook", "delivery")
IDS = {f"{kind}_id": f"{kind}_0" for kind in KINDS} | {"iteration": "5"}


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="condensery-pg-") as folder:
        running = Postgres(Path(folder))
        try:
            running.start()
            upgrade(running.address)
            yield running
        finally:
            running.stop()


@pytest.fixture
def away(server: Postgres) -> Iterator[Database]:
    made = Database(server.address)
    yield made
    made.engine.dispose()


@pytest.fixture
def app(settings: Settings, away: Database, storage: LocalStorage) -> FastAPI:
    return create_app(settings, away, storage)


def operations(app: FastAPI) -> list[tuple[str, str]]:
    return [
        (method, str(route.path))
        for route in iter_route_contexts(app.routes)
        for method in route.methods or ()
        if str(route.path).startswith("/v1/")
    ]


def test_database_that_is_stopped_and_started(app: FastAPI, server: Postgres, away: Database) -> None:
    with client_of(app, token_of(away, "owner")) as http:
        assert http.get("/v1/jobs").status_code == 200
        server.stop()
        try:
            for method, path in operations(app):
                app.state.known_keys.forget()
                called = http.request(method, path.format(**IDS), **content_of((method, path), IDS))
                assert called.status_code == 503, (method, path, called.text)
                assert called.headers["retry-after"]
                if method != "HEAD":
                    problem_of(called, 503, "database_unavailable")
            assert http.get("/healthz").status_code == 200
            assert http.get("/readyz").status_code == 503
        finally:
            server.start()
        assert http.get("/v1/jobs").status_code == 200
        assert http.put("/v1/uploads", content=b"x").status_code == 201


def test_database_that_cannot_be_written_to(
    settings: Settings, server: Postgres, storage: LocalStorage, away: Database
) -> None:
    """What only reads is answered."""
    token = token_of(away, "owner")
    admin = create_engine(server.address, isolation_level="AUTOCOMMIT")
    read_only = Database(server.address)
    with (
        admin.connect() as connection,
        client_of(create_app(settings, read_only, storage), token) as http,
    ):
        connection.execute(text("ALTER DATABASE postgres SET default_transaction_read_only = on"))
        assert http.get("/v1/jobs").status_code == 200
        ready = http.get("/readyz")
        assert ready.status_code == 503 and ready.json()["checks"]["database"].startswith("read-only")
        for made in (
            http.put("/v1/uploads", content=b"x"),
            http.post("/v1/keys", json={"name": "x"}),
        ):
            assert problem_of(made, 503, "database_unavailable")["detail"].startswith(
                "the database cannot be written to"
            )
            assert made.headers["retry-after"]
        connection.execute(text("ALTER DATABASE postgres RESET default_transaction_read_only"))
    admin.dispose()
    read_only.engine.dispose()
    assert not [*storage.keys("uploads")]


def test_sqlite_that_cannot_be_written_to(settings: Settings, storage: LocalStorage, tmp_path: Path) -> None:
    url = migrated_sqlite(tmp_path)
    read_only = Database(f"{url.replace(':///', ':///file:')}?mode=ro&uri=true")
    with client_of(create_app(settings, read_only, storage)) as http:
        assert http.get("/v1/jobs").status_code == 200
        problem_of(http.put("/v1/uploads", content=b"x"), 503, "database_unavailable")
    read_only.engine.dispose()


def test_every_connection_busy(
    settings: Settings, server: Postgres, storage: LocalStorage, away: Database
) -> None:
    token = token_of(away, "owner")
    away.engine.dispose()
    away.engine = create_engine(server.address, pool_size=1, max_overflow=0, pool_timeout=0.2)
    away._reader = away.engine
    with client_of(create_app(settings, away, storage), token) as http:
        with away.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            refused = http.get("/v1/jobs")
            problem_of(refused, 503, "overloaded")
            assert refused.headers["retry-after"]
        assert http.get("/v1/jobs").status_code == 200
