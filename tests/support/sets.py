"""Condensed sets: images with a card, and rows as a worker would leave them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.db.models import Artifact, CondensedSet
from core.db.session import Database
from core.db.types import db_now
from core.export import safetensors
from core.export.condensed import CondensedSet as Images
from core.export.formats import FORMATS
from core.ids import new_id
from core.storage import Storage
from core.work.events import first_event
from core.work.files import condensed_set_prefix
from core.work.transitions import move
from tests.support.leased import OWNER, take

PICTURE = b"\x89PNG\r\n\x1a\n"


def card(name: str = "digits", license: str | None = None) -> dict[str, Any]:
    return {
        "created_by": "condensery 0.1.0",
        "source": {"name": name, "sha256": "ab" * 32, "license": license},
        "config": {"ipc": 2},
        "seeds": {"seed": 7},
        "engine": {"version": "0.1.0", "torch": "2.15.0", "device": "cpu"},
        "compute": {"flops": 1000, "flops_per_iteration": 10},
        "evaluation": {"protocol": "", "limits": [], "results": []},
    }


def images(
    classes: Sequence[str] = ("0", "1"), *, per_class: int = 2, seed: int = 0, size: int = 16, **values: Any
) -> Images:
    """Noise of one channel, class after class."""
    count = len(classes) * per_class
    generator = np.random.default_rng(seed)
    given: dict[str, Any] = {
        "images_NCHW": generator.standard_normal((count, 1, size, size)).astype(np.float32),
        "labels_N": np.repeat(np.arange(len(classes), dtype=np.int64), per_class),
        "classes": tuple(classes),
        "mean": (0.5,),
        "std": (0.25,),
        "card": card(),
    }
    return Images(**(given | values))


def stored_images(path: Path, made: Images) -> bytes:
    """As a file of our canonical format, written to `path`."""
    safetensors.write(made, path)
    return path.read_bytes()


def add_set(
    database: Database,
    storage: Storage,
    *,
    owner: str = OWNER,
    job_id: str | None = None,
    made: Images | None = None,
    **values: Any,
) -> str:
    """The id of a ready set with its canonical file and a preview, made by a job or read from nothing."""
    made = made or images()
    fresh = new_id("cs")
    prefix = condensed_set_prefix(fresh, 1) if job_id is None else f"jobs/{job_id}/a1/artifacts"
    with storage.scratch() as folder:
        contents = {
            "safetensors": stored_images(folder / "condensed.safetensors", made),
            "preview": PICTURE,
        }
        (folder / "preview.png").write_bytes(PICTURE)
        storage.put(prefix, folder)
    facts: dict[str, Any] = {
        "name": "digits",
        "state": "ready",
        "classes": len(made.classes),
        "channels": made.images_NCHW.shape[1],
        "image_size": made.images_NCHW.shape[2],
        "stored": max(made.images_per_class),
        "decoded": max(made.images_per_class),
        "manifest": {"classes": list(made.classes), "mean": list(made.mean), "std": list(made.std)},
        "blob_prefix": prefix,
        "finished_at": db_now(),
    }
    files = {one.name: one for one in FORMATS if one.name in contents}
    with database.writing() as session:
        session.add(CondensedSet(id=fresh, owner=owner, job_id=job_id, fence=1, **(facts | values)))
        session.flush()
        for name, content in contents.items():
            session.add(
                Artifact(
                    id=new_id("art"), owner=owner, job_id=job_id, condensed_set_id=fresh, fence=1,
                    format=name, file_name=files[name].file_name, media_type=files[name].media_type,
                    size=len(content), sha256=hashlib.sha256(content).hexdigest(),
                    blob_key=f"{prefix}/{files[name].file_name}",
                )
            )  # fmt: skip
    return fresh


def add_reading(database: Database, **values: Any) -> str:
    """The id of a set that waits to be read."""
    fresh = new_id("cs")
    with database.writing() as session:
        row = CondensedSet(
            **({"id": fresh, "owner": OWNER, "name": "digits", "state": "reading", "fence": 0} | values)
        )
        session.add(row)
        first_event(session, row, {})
    return fresh


def end_reading(database: Database, condensed_set_id: str, state: str = "ready", **values: Any) -> None:
    """Claimed and settled, as a worker does."""
    take(database, condensed_set_id, CondensedSet)
    with database.writing() as session:
        assert move(session, CondensedSet, condensed_set_id, state, **values)


def set_of(database: Database, condensed_set_id: str) -> CondensedSet:
    with database.reading() as session:
        return session.get_one(CondensedSet, condensed_set_id)
