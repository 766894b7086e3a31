"""Storage of each kind, with its local files under `tmp_path`."""

from pathlib import Path

import pytest

from core.storage import Storage
from core.storage.local import LocalStorage
from core.storage.s3 import S3Storage


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "local":
        return LocalStorage(tmp_path)
    return S3Storage(request.getfixturevalue("bucket"), tmp_path, cache_bytes=1 << 30)
