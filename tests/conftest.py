"""What every test may ask for."""

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.db.session import Database
from tests.support import warm
from tests.support.buckets import aws_environment, new_bucket
from tests.support.databases import emptied_postgres, migrated_postgres, migrated_sqlite
from tests.support.servers import postgres, redis_server, s3_server

# Processes of tests share the cores, and so do the services that they start: threads of torch that wait
# for one another by spinning take twice as long. Read when torch is loaded, which is later.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def pytest_configure() -> None:
    # As Ctrl-C does, so that servers and services which tests have started are stopped then too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    warm.use()


#: Marks by what a test asks for, and by where it is.
_BY_FIXTURE = {"postgres_server": "postgres", "browser": "browser", "real_data": "real_data"}
_BY_FOLDER = {"e2e": "processes", "faults": "processes", "fuzz": "fuzz"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        marks = {_BY_FIXTURE[name] for name in getattr(item, "fixturenames", ()) if name in _BY_FIXTURE}
        marks |= {_BY_FOLDER[part] for part in item.path.parts if part in _BY_FOLDER}
        for mark in marks:
            item.add_marker(mark)
    items[:] = [item for item in items if not (item.get_closest_marker("one_database") and _other(item))]


def pytest_collection_finish() -> None:
    # What is loaded by now stays, and is a lot: to look for garbage in it, again and again, takes a fifth of
    # the time of tests that make many objects.
    gc.collect()
    gc.freeze()


def _other(item: pytest.Item) -> bool:
    call: Any = getattr(item, "callspec", None)
    return call is not None and call.params.get("database_url") == "postgresql"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    with postgres() as address:
        yield address


@pytest.fixture(scope="session")
def redis_address() -> Iterator[str]:
    """A Redis that nothing else uses, whose databases may be flushed."""
    with redis_server() as address:
        yield address


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture
def bucket(s3_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The `storage_url` of an empty bucket, which this process and those that it starts can reach."""
    for name, value in aws_environment(s3_address).items():
        monkeypatch.setenv(name, value)
    return new_bucket(s3_address)


@pytest.fixture(scope="session")
def postgres_database(postgres_server: str) -> Iterator[str]:
    """Migrated, and this process's alone: its tests have it one after another (`database_url`)."""
    with migrated_postgres(postgres_server) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated database of either kind, without a row, that no other test uses meanwhile."""
    if request.param == "sqlite":
        return migrated_sqlite(tmp_path)
    return emptied_postgres(request.getfixturevalue("postgres_database"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    yield made
    made.engine.dispose()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that need it skip without it."""
    named = os.environ.get("CONDENSERY_TEST_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; CONDENSERY_TEST_DATA may name another folder")
    return folder
