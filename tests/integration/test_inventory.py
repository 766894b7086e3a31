"""Rows and the files that they name are compared."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from core.db.session import Database
from core.inventory import take_inventory
from core.storage.local import LocalStorage
from tests.support.api import upload
from tests.support.workplace import Workplace, embedded_workplace


def test_inventory(http: TestClient, database: Database, storage: LocalStorage) -> None:
    kept, cut, changed, gone = (upload(http, text)["id"] for text in (b"kept", b"cut", b"changed", b"gone"))
    storage.path(f"uploads/{cut}").write_bytes(b"c")
    storage.path(f"uploads/{changed}").write_bytes(b"chanGed")
    storage.delete(f"uploads/{gone}")
    quick = take_inventory(database, storage, hashes=False)
    assert (quick.rows, quick.files) == (4, 3)
    assert {(one.fault, one.key) for one in quick.findings} == {
        ("wrong_size", f"uploads/{cut}"),
        ("missing", f"uploads/{gone}"),
    }
    thorough = take_inventory(database, storage, hashes=True)
    assert ("wrong_hash", f"uploads/{changed}") in {(one.fault, one.key) for one in thorough.findings}
    assert not any(kept in one.key for one in thorough.findings)


def test_inventory_of_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with embedded_workplace(tmp_path, monkeypatch) as place:
        _damage(place)


def _damage(embedded: Workplace) -> None:
    dataset = embedded.new_dataset()
    storage = embedded.storage
    assert isinstance(storage, LocalStorage)
    assert take_inventory(embedded.database, storage, hashes=True).findings == []
    path: Path = storage.path(f"datasets/{dataset}/a1/test.images.npy")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert take_inventory(embedded.database, storage, hashes=False).findings == []
    (finding,) = take_inventory(embedded.database, storage, hashes=True).findings
    assert (finding.fault, finding.row) == ("wrong_hash", dataset)
    path.unlink()
    (finding,) = take_inventory(embedded.database, storage, hashes=True).findings
    assert finding.fault == "missing"
