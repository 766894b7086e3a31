"""Files that belong to nothing go once they are old; rows and files are compared."""

import os
import time
from pathlib import Path

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from core.catalogue.orphans import forget_orphans, orphans
from core.db.models import Checkpoint, Dataset, Job
from core.db.session import Database
from core.db.types import db_now
from core.inventory import take_inventory
from core.storage.local import LocalStorage
from tests.support.api import add_artifact, bring, queued_job, upload
from tests.support.workplace import Workplace, embedded_workplace


def put(storage: LocalStorage, key: str, content: bytes = b"left behind") -> str:
    with storage.receive() as receiver:
        receiver.write(content)
        receiver.store(key)
    return key


def make_old(storage: LocalStorage) -> None:
    """By the time of their last change; the kernel's own, of their name, cannot be set."""
    then = time.time() - 10
    for key in list(storage.keys()):
        os.utime(storage.path(key), (then, then))


def test_only_what_belongs_to_nothing(http: TestClient, database: Database, storage: LocalStorage) -> None:
    sent = upload(http)["id"]
    finished, working = queued_job(http, database), queued_job(http, database)
    artifact = add_artifact(database, storage, finished, b"x").blob_key
    bring(database, finished, "running", "succeeded")
    bring(database, working, "running")
    checkpoint = put(storage, f"jobs/{working}/a1/checkpoint-00000001.safetensors")
    dataset = http.get(f"/v1/jobs/{working}").json()["dataset_id"]
    with database.writing() as session:
        session.execute(update(Job).where(Job.id == working).values(fence=2))
        session.add(
            Checkpoint(
                job_id=working,
                owner="local",
                fence=1,
                iteration=1,
                blob_key=checkpoint,
                size=11,
                sha256="0" * 64,
            )
        )
    belongs = {
        artifact,
        checkpoint,
        put(storage, f"datasets/{dataset}/a1/manifest.json"),
        put(storage, f"jobs/{working}/a2/artifacts/being-written.npz"),
    }
    lost = {
        put(storage, "uploads/up_orphan"),
        put(storage, "datasets/ds_1/a1/train.images.npy"),
        put(storage, f"datasets/{dataset}/a2/manifest.json"),
        put(storage, "jobs/job_1/a1/artifacts/x.npz"),
        put(storage, f"jobs/{finished}/a1/checkpoint-00000002.safetensors"),
        put(storage, f"jobs/{working}/a1/checkpoint-00000002.safetensors"),
    }
    make_old(storage)
    before = set(storage.keys())
    with database.reading() as session:
        assert forget_orphans(session, storage) == []
        # A file is as old as its name, too: what is just being registered may have come long ago.
        assert orphans(session, storage, 5) == []
        assert set(forget_orphans(session, storage, 0)) == lost
    assert set(storage.keys()) == before - lost
    assert belongs <= before - lost
    assert http.get(f"/v1/uploads/{sent}").status_code == 200


def test_an_ingest_that_is_about_to_publish_keeps_its_files(
    http: TestClient, database: Database, storage: LocalStorage
) -> None:
    dataset = http.post("/v1/datasets", json={"upload_id": upload(http)["id"]}).json()["id"]
    mine = put(storage, f"datasets/{dataset}/a1/manifest.json")
    claimed = update(Dataset).where(Dataset.id == dataset)
    with database.writing() as session:
        session.execute(claimed.values(fence=1, lease_until=db_now(60)))
    with database.reading() as session:
        assert orphans(session, storage, 0) == []
    with database.writing() as session:
        session.execute(claimed.values(fence=2))
    with database.reading() as session:
        assert orphans(session, storage, 0) == [mine], "another attempt has the row now"


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
