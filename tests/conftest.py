"""What every test may ask for."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from core.db.migrate import upgrade
from core.db.session import Database
from tests.support.buckets import aws_environment, new_bucket
from tests.support.databases import copied_sqlite, empty_postgres, empty_sqlite, migrated_postgres
from tests.support.servers import postgres, redis_server, s3_server

# Two processes of tests share the cores, and so do the services that they start: threads of torch that wait
# for one another by spinning take twice as long. Read when torch is loaded, which is later.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def pytest_configure() -> None:
    # As Ctrl-C does, so that servers and services which tests have started are stopped then too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


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
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = empty_sqlite(tmp_path_factory.mktemp("sqlite"))
    upgrade(url)
    return url


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> Iterator[str]:
    with migrated_postgres(postgres_server) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated database of its own, of either kind."""
    if request.param == "sqlite":
        yield copied_sqlite(request.getfixturevalue("sqlite_template"), tmp_path)
        return
    template = make_url(request.getfixturevalue("postgres_template")).database
    assert template is not None
    with empty_postgres(request.getfixturevalue("postgres_server"), template) as url:
        yield url


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
