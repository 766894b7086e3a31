"""F41: a power cut at any moment takes nothing that was committed before."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from api.app import create_app
from core.db.models import Job
from core.db.session import Database
from tests.faults.evidence import Evidence
from tests.integration.test_checkpoints import state_at
from tests.support.api import client_of
from tests.support.condensed import condensed_job, next_attempt
from tests.support.disk_calls import watched
from tests.support.leased import job_of, new_row
from tests.support.power_cut import PowerCut
from tests.support.tus import CONTENT, begun, patch
from tests.support.workplace import Workplace, workplace
from tests.support.works import keep
from worker import phases


def _client(place: Workplace) -> TestClient:
    return client_of(create_app(place.settings, place.database, place.storage))


def uploads(place: Workplace) -> None:
    http = _client(place)
    for content in (b"1" * 10_000, b"2" * 10, b"1" * 10_000):  # the third is the first once more
        assert http.put("/v1/uploads", content=content).status_code == 201


def resumable_upload(place: Workplace) -> None:
    http = _client(place)
    path = begun(http)
    half = len(CONTENT) // 2
    assert patch(http, path, 0, CONTENT[:half]).status_code == 204
    assert patch(http, path, half, CONTENT[half:]).status_code == 204


def saving(place: Workplace) -> None:
    attempt = next_attempt(place.database, place.storage, place.settings, new_row(place.database, Job))
    for iteration in (1, 2, 3, 4):
        keep(attempt, state_at(iteration))


def publishing(place: Workplace) -> None:
    """From the data set on."""
    job_id = condensed_job(place)
    phases.run(next_attempt(place.database, place.storage, place.settings, job_id))
    assert job_of(place.database, job_id).state == "succeeded"


@pytest.mark.parametrize(
    ("operation", "kept"),
    [(uploads, 2), (resumable_upload, 1), (saving, 2), (publishing, 8)],
    ids=["uploads", "resumable_upload", "saving", "publishing"],
)
def test_nothing_committed_is_lost(
    database: Database,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    operation: Callable[[Workplace], None],
    kept: int,
) -> None:
    evidence = Evidence(tmp_path / "data", database_url)
    promised: dict[str, bytes] = {}

    def rows() -> dict[str, bytes]:
        promised.clear()
        promised.update(_promised(evidence))
        return dict(promised)

    # From before the service's first start: its directories are new as well.
    evidence.data_dir.mkdir()
    cut = PowerCut(evidence.data_dir, rows)
    cut.commits(database, monkeypatch)
    with (
        watched(evidence.data_dir, cut.see),
        workplace(database, database_url, evidence.data_dir, monkeypatch) as place,
    ):
        operation(place)
        cut.look("in the end")
    assert len(promised) >= kept
    assert cut.moments > 20
    assert cut.missing == []


def _promised(evidence: Evidence) -> dict[str, bytes]:
    """Every file that a row refers to, as it is now; its bytes must be the row's."""
    found: dict[str, bytes] = {}
    keys = {"blobs": "file_key", "artifacts": "blob_key", "checkpoints": "blob_key"}
    for table, column in keys.items():
        for row in evidence.rows(table):
            content = evidence.blob(row[column]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == row["sha256"]
            found[f"blobs/{row[column]}"] = content
    for row in evidence.rows("datasets"):
        for key in evidence.blobs() if row["blob_prefix"] else ():
            if key.startswith(f"{row['blob_prefix']}/"):
                found[f"blobs/{key}"] = evidence.blob(key).read_bytes()
    return found


def test_a_commit_is_on_the_disk_before_it_is_answered(database: Database) -> None:
    writer, reader = database.writing, database.reading
    for session_of in (writer, reader):
        with session_of() as session:
            if database.engine.dialect.name == "sqlite":
                assert session.scalar(text("PRAGMA synchronous")) == 2, "FULL"
                assert session.scalar(text("PRAGMA journal_mode")) == "wal"
                continue
            # The server is the operator's, and this one is for tests; the service itself changes nothing.
            source = "SELECT source FROM pg_settings WHERE name = 'synchronous_commit'"
            assert session.scalar(text(source)) not in ("session", "client", "database", "user")
