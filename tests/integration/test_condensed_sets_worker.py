"""A worker reads and merges condensed sets: supervised, in a process of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from core.catalogue.uploads import create_upload
from core.condensed.rows import create_merge, delete_condensed_set
from core.db.models import Artifact, CondensedSet, Event
from core.db.session import Database
from core.export import safetensors
from core.export.condensed import CondensedSet as Images
from core.export.formats import NAMES
from core.ids import new_id
from core.inventory import take_inventory
from core.work.files import condensed_set_prefix
from tests.support.leased import OWNER, event_types
from tests.support.sets import add_reading, add_set, images, set_of, stored_images
from tests.support.workplace import Workplace, workplace


@pytest.fixture
def place(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workplace]:
    with workplace(database, database_url, tmp_path / "data", monkeypatch) as made:
        yield made


def uploaded(place: Workplace, content: bytes) -> str:
    upload_id = new_id("up")
    with place.storage.receive() as receiver:
        receiver.write(content)
        receiver.store(f"uploads/{upload_id}")
    with place.database.writing() as session:
        create_upload(
            session, place.storage, OWNER, upload_id=upload_id, sha256=receiver.sha256,
            size=receiver.size, file_name="condensed.safetensors",
        )  # fmt: skip
    return upload_id


def artifacts(place: Workplace, condensed_set_id: str) -> dict[str, Artifact]:
    with place.database.reading() as session:
        mine = select(Artifact).where(Artifact.condensed_set_id == condensed_set_id)
        return {one.format: one for one in session.scalars(mine)}


def read_back(place: Workplace, condensed_set_id: str) -> Images:
    key = artifacts(place, condensed_set_id)["safetensors"].blob_key
    with place.storage.local_file(key) as path:
        return safetensors.read(path)


def test_an_upload_becomes_a_set_with_every_format(place: Workplace, tmp_path: Path) -> None:
    made = images()
    upload_id = uploaded(place, stored_images(tmp_path / "file", made))
    row_id = add_reading(place.database, upload_id=upload_id, license="mit", stated={})
    place.attempt(row_id, CondensedSet)
    row = set_of(place.database, row_id)
    assert (row.state, row.fence, row.lease_until) == ("ready", 1, None), row.problem
    assert (row.classes, row.channels, row.image_size, row.stored, row.decoded) == (2, 1, 16, 2, 2)
    assert row.license == "mit"
    assert row.manifest is not None and row.manifest["classes"] == ["0", "1"]
    assert row.manifest["layout_family"] == "own"
    assert event_types(place.database, row_id) == ["reading", "claimed", "ready"]
    found = artifacts(place, row_id)
    assert set(found) == set(NAMES)
    prefix = condensed_set_prefix(row_id, 1)
    assert {one.blob_key for one in found.values()} == set(place.storage.keys(prefix))
    assert read_back(place, row_id).images_NCHW.tobytes() == made.images_NCHW.tobytes()
    inventory = take_inventory(place.database, place.storage, hashes=True)
    assert inventory.findings == []
    with place.database.writing() as session:
        delete_condensed_set(session, place.storage, OWNER, row_id)
    assert list(place.storage.keys("condensed")) == []


def test_what_is_unclear_is_asked_for(place: Workplace, tmp_path: Path) -> None:
    import numpy as np

    with (tmp_path / "set.npz").open("wb") as file:
        np.savez(file, images=np.zeros((4, 16, 16, 1), np.float32), labels=np.arange(4) % 2)
    upload_id = uploaded(place, (tmp_path / "set.npz").read_bytes())
    row_id = add_reading(place.database, upload_id=upload_id, stated={})
    place.attempt(row_id, CondensedSet)
    row = set_of(place.database, row_id)
    assert row.state == "invalid" and row.problem is not None
    assert row.problem["code"] == "condensed_set_unclear"
    assert [one["answer"] for one in row.problem["findings"]] == ["dataset_id"]
    assert event_types(place.database, row_id) == ["reading", "claimed", "invalid"]
    assert list(place.storage.keys("condensed")) == []
    assert artifacts(place, row_id) == {}


def test_what_cannot_be_used_is_said_once(place: Workplace) -> None:
    row_id = add_reading(place.database, upload_id=uploaded(place, b"\x80\x04K\x01."), stated={})
    place.attempt(row_id, CondensedSet)
    row = set_of(place.database, row_id)
    assert row.problem is not None
    assert (row.state, row.problem["code"], row.setbacks) == ("invalid", "bare_pickle", {})


def test_sets_are_merged(place: Workplace) -> None:
    parts = [images(("a", "b"), seed=1), images(("c",), seed=2), images(("b", "a"), seed=3)]
    ids = [add_set(place.database, place.storage, made=one) for one in parts]
    with place.database.writing() as session:
        row, _ = create_merge(
            session, OWNER, condensed_set_ids=ids, name="memory", idempotency_key=None,
            settings=place.settings,
        )  # fmt: skip
        row_id = row.id
    place.attempt(row_id, CondensedSet)
    row = set_of(place.database, row_id)
    assert row.state == "ready", row.problem
    assert (row.classes, row.decoded, row.parents) == (3, 4, ids)
    whole = read_back(place, row_id)
    assert whole.classes == ("a", "b", "c")
    assert whole.images_per_class == (4, 4, 2)
    assert set(artifacts(place, row_id)) == set(NAMES)


def test_a_part_whose_file_is_gone_is_named(place: Workplace) -> None:
    ids = [add_set(place.database, place.storage, made=images((name,))) for name in "ab"]
    place.storage.delete(artifacts(place, ids[1])["safetensors"].blob_key)
    row_id = add_reading(place.database, parents=ids)
    place.attempt(row_id, CondensedSet)
    row = set_of(place.database, row_id)
    assert row.problem is not None
    assert (row.state, row.problem["code"]) == ("invalid", "condensed_set_damaged")
    assert ids[1] in row.problem["detail"]


def test_what_its_owner_may_not_store_is_not_stored(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = stored_images(tmp_path / "file", images())
    limit: dict[str, Any] = {"owner_stored_bytes": len(content) + 100}
    with workplace(database, database_url, tmp_path / "data", monkeypatch, **limit) as place:
        row_id = add_reading(database, upload_id=uploaded(place, content), stated={})
        place.attempt(row_id, CondensedSet)
        row = set_of(database, row_id)
        assert row.problem is not None
        assert (row.state, row.problem["code"]) == ("invalid", "storage_quota_exceeded")
        assert list(place.storage.keys("condensed")) == []


def test_webhooks_are_told(place: Workplace) -> None:
    from core.db.models import Delivery, Webhook

    with place.database.writing() as session:
        session.add(
            Webhook(
                id=new_id("wh"), owner=OWNER, url="https://hooks.example/", enabled=True, secret="whsec_x",
                events=["condensed_set.invalid"],
            )
        )  # fmt: skip
    row_id = add_reading(place.database, upload_id=uploaded(place, b"no set"), stated={})
    place.attempt(row_id, CondensedSet)
    with place.database.reading() as session:
        (told,) = session.scalars(select(Delivery))
        events = session.scalars(
            select(Event.type).where(Event.subject_id == row_id).order_by(Event.seq)
        ).all()
    assert told.event_type == "condensed_set.invalid"
    assert f"/v1/condensed-sets/{row_id}" in told.body
    assert events[-1] == "invalid"
