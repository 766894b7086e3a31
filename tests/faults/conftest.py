"""A place whose database and files the checker can look at."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.db.session import Database
from tests.faults.evidence import Evidence
from tests.support.workplace import Workplace, workplace


@pytest.fixture
def bench(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workplace]:
    with workplace(database, database_url, tmp_path / "data", monkeypatch) as place:
        yield place


@pytest.fixture
def evidence(bench: Workplace, database_url: str) -> Iterator[Evidence]:
    made = Evidence(bench.settings.data_dir, database_url)
    yield made
    made.close()
