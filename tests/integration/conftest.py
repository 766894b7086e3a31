"""The HTTP application on a database of either kind."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from api.app import create_app
from core.db.session import Database
from core.settings import Settings
from core.storage import Storage
from core.storage.local import LocalStorage
from tests.support.api import client_of
from tests.support.leased import process_settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Everything on disk, the broker's messages too, is under `tmp_path`."""
    with process_settings(monkeypatch, data_dir=tmp_path / "data", max_upload_bytes=1 << 20) as made:
        yield made


@pytest.fixture
def storage(settings: Settings) -> LocalStorage:
    return LocalStorage(settings.data_dir)


@pytest.fixture
def app(settings: Settings, database: Database, storage: Storage) -> FastAPI:
    return create_app(settings, database, storage)


@pytest.fixture
def http(app: FastAPI) -> Iterator[TestClient]:
    """Somebody on this machine, while there are no keys."""
    with client_of(app) as client:
        yield client
