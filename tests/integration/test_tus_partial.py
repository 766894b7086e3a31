"""Resumable uploads that break off, are completed, terminated or expire."""

import os
import time
from datetime import UTC, datetime, timedelta

from starlette.testclient import TestClient

from core.catalogue.resumable import forget_expired
from core.db.models import Upload
from core.db.session import Database
from core.settings import Settings
from core.storage.local import LocalStorage
from tests.support.api import problem_of
from tests.support.tus import (
    CONTENT,
    DAY,
    SHA256,
    TUS,
    arrive,
    begun,
    head,
    id_of,
    metadata,
    offset,
    partial_files,
    patch,
)


def test_what_came_before_a_crash_holds(http: TestClient, settings: Settings) -> None:
    path = begun(http)
    arrive(settings, path, CONTENT[:1000])
    assert http.get(path).json()["offset"] == offset(http, path) == 1000
    assert patch(http, path, 1000, CONTENT[1000:]).status_code == 204
    assert http.get(path).json()["sha256"] == SHA256


def test_what_came_of_a_piece_with_a_checksum_before_a_crash_does_not(
    http: TestClient, settings: Settings, database: Database
) -> None:
    path = begun(http)
    patch(http, path, 0, CONTENT[:7])
    with database.writing() as session:
        session.get_one(Upload, id_of(path)).unverified_from = 7
    arrive(settings, path, bytes(len(CONTENT) - 7))
    assert http.get(path).json()["offset"] == offset(http, path) == 7
    assert patch(http, path, 7, CONTENT[7:]).status_code == 204
    assert http.get(path).json()["sha256"] == SHA256


def test_what_a_crash_left_whole_is_completed_by_asking(http: TestClient, settings: Settings) -> None:
    """A client that is told that all has come sends nothing more."""
    path = begun(http)
    arrive(settings, path, CONTENT)
    assert http.get(path).json()["state"] == "receiving"
    assert offset(http, path) == len(CONTENT)
    upload = http.get(path).json()
    assert (upload["state"], upload["sha256"]) == ("complete", SHA256)
    assert partial_files(settings) == {}

    wrong = begun(http, metadata(sha256=SHA256))
    arrive(settings, wrong, CONTENT[::-1])
    assert offset(http, wrong) == 0


def test_one_at_a_time(http: TestClient, settings: Settings, storage: LocalStorage) -> None:
    path = begun(http)
    arrive(settings, path, CONTENT[:7])
    with storage.partial.lock(id_of(path)):
        problem_of(patch(http, path, 7, CONTENT[7:]), 423, "locked")
        problem_of(http.delete(path, headers=TUS), 423, "locked")
        assert offset(http, path) == 7
        arrive(settings, path, CONTENT[7:])
        assert head(http, path).status_code == 423, "whole, but not checked yet"
    assert offset(http, path) == len(CONTENT)


def test_terminated(http: TestClient, settings: Settings, database: Database) -> None:
    path = begun(http)
    patch(http, path, 0, CONTENT[:7])
    answer = http.delete(path, headers=TUS)
    assert (answer.status_code, answer.headers["tus-resumable"]) == (204, "1.0.0")
    assert head(http, path).status_code == 404
    problem_of(patch(http, path, 7, CONTENT[7:]), 404, "not_found")
    assert partial_files(settings) == {}
    with database.reading() as session:
        assert session.query(Upload).count() == 0


def test_expired(http: TestClient, settings: Settings, database: Database, storage: LocalStorage) -> None:
    paths = [begun(http) for _ in range(4)]
    old, fresh, busy, lost = paths
    for path in paths:
        patch(http, path, 0, CONTENT[:7])
    for path in (old, busy):
        then = time.time() - DAY - 60
        os.utime(settings.data_dir / "partial" / id_of(path), (then, then))
    (settings.data_dir / "partial" / id_of(lost)).unlink()
    with database.writing() as session:
        session.get_one(Upload, id_of(lost)).created_at = datetime.now(UTC) - timedelta(days=2)
    for path in (old, lost):
        assert head(http, path).status_code == 410
        problem_of(patch(http, path, 7, CONTENT[7:]), 410, "gone")
        assert http.get(path).json()["state"] == "receiving"
    with storage.partial.lock(id_of(busy)):
        forget_expired(database, storage, DAY)
    for path in (old, lost):
        assert head(http, path).status_code == 404
    assert set(partial_files(settings)) == {id_of(fresh), id_of(busy)}
    assert patch(http, fresh, 7, CONTENT[7:]).status_code == 204
    forget_expired(database, storage, DAY)
    assert partial_files(settings) == {}
    assert [one["id"] for one in http.get("/v1/uploads").json()["data"]] == [id_of(fresh)]
