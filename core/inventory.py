"""Does every row that speaks of stored bytes have them, and every file its row?"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.catalogue.orphans import PREFIXES, orphans
from core.data.canonical.content_hash import hash_of_folder
from core.db.models import Artifact, Blob, Checkpoint, Dataset, PooledNetwork, Snapshot
from core.db.session import Database
from core.storage import Storage

Fault = Literal["missing", "wrong_size", "wrong_hash", "orphan"]

#: Files that are stored, but whose row is not committed yet.
YOUNG_SECONDS = 600.0
_AT_ONCE = 1000

Row = TypeVar("Row", Blob, Artifact, Dataset, PooledNetwork)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is not as it should be, with the row that refers to it."""

    fault: Fault
    key: str
    row: str | None
    detail: str


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """rows: how many spoke of stored bytes. files: how many there are."""

    rows: int
    files: int
    findings: list[Finding]


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """A row, and the bytes that it speaks of: one file, or, with a manifest, a folder of at least `size`."""

    model: type[Blob | Artifact | Checkpoint | Snapshot | Dataset | PooledNetwork]
    identity: str | tuple[str, int] | tuple[str, int, int]
    name: str
    key: str
    size: int
    sha256: str
    manifest: dict[str, object] | None = None


def take_inventory(database: Database, storage: Storage, *, hashes: bool) -> Inventory:
    """Compare rows and files. Work may go on meanwhile: what changes under way is not a finding."""
    rows, findings = 0, []
    with database.reading() as session:
        for stored in _stored(session):
            rows += 1
            finding = _fault(storage, stored, hashes=hashes)
            if finding is not None and _still_there(database, stored):
                findings.append(finding)
        lost = orphans(session, storage, YOUNG_SECONDS)
    files = list(storage.keys())
    findings += [Finding(fault="orphan", key=key, row=None, detail="it belongs to nothing") for key in lost]
    findings += [
        Finding(fault="orphan", key=key, row=None, detail="nothing of this service is stored there")
        for key in files
        if key.partition("/")[0] not in PREFIXES
    ]
    return Inventory(rows=rows, files=len(files), findings=findings)


def _stored(session: Session) -> Iterator[_Stored]:
    for blob in _each(session, Blob, Blob.sha256):
        yield _Stored(
            model=Blob,
            identity=blob.sha256,
            name=f"blob {blob.sha256}",
            key=blob.file_key,
            size=blob.size,
            sha256=blob.sha256,
        )
    for artifact in _each(session, Artifact, Artifact.id):
        yield _Stored(
            model=Artifact,
            identity=artifact.id,
            name=artifact.id,
            key=artifact.blob_key,
            size=artifact.size,
            sha256=artifact.sha256,
        )
    for saved in session.scalars(select(Checkpoint)):
        name = f"{saved.job_id} checkpoint {saved.iteration}"
        yield _Stored(
            model=Checkpoint,
            identity=(saved.job_id, saved.fence, saved.iteration),
            name=name,
            key=saved.blob_key,
            size=saved.size,
            sha256=saved.sha256,
        )
    for taken in session.scalars(select(Snapshot)):
        yield _Stored(
            model=Snapshot,
            identity=(taken.job_id, taken.iteration),
            name=f"{taken.job_id} snapshot {taken.iteration}",
            key=taken.blob_key,
            size=taken.size,
            sha256=taken.sha256,
        )
    for network in _each(session, PooledNetwork, PooledNetwork.id):
        yield _Stored(
            model=PooledNetwork,
            identity=network.id,
            name=network.id,
            key=network.blob_key,
            size=network.size,
            sha256=network.sha256,
        )
    for dataset in _each(session, Dataset, Dataset.id, Dataset.state == "ready"):
        yield _Stored(
            model=Dataset,
            identity=dataset.id,
            name=dataset.id,
            key=dataset.blob_prefix or "",
            size=dataset.size,
            sha256=dataset.content_hash or "",
            manifest=dataset.manifest or {},
        )


def _each(
    session: Session, model: type[Row], key: InstrumentedAttribute[str], *which: ColumnElement[bool]
) -> Iterator[Row]:
    """Every row by its key, a portion at a time: an autocommitting connection has no cursor to stay open."""
    after = ""
    while rows := session.scalars(
        select(model).where(key > after, *which).order_by(key).limit(_AT_ONCE)
    ).all():
        yield from rows
        after = getattr(rows[-1], key.key)
        session.expunge_all()


def _fault(storage: Storage, stored: _Stored, *, hashes: bool) -> Finding | None:
    def found(fault: Fault, detail: str) -> Finding:
        return Finding(fault=fault, key=stored.key, row=stored.name, detail=detail)

    try:
        size = _size(storage, stored)
        if size != stored.size if stored.manifest is None else size < stored.size:
            return found("wrong_size", f"{size} bytes; the row says {stored.size}")
        if hashes and (digest := _hash(storage, stored)) != stored.sha256:
            return found("wrong_hash", f"SHA-256 {digest}; the row says {stored.sha256}")
    except (OSError, ValueError) as error:
        return found("missing", getattr(error, "strerror", None) or str(error))
    return None


def _size(storage: Storage, stored: _Stored) -> int:
    if stored.manifest is None:
        return storage.size(stored.key)
    files = list(storage.keys(stored.key))
    if not files:
        raise FileNotFoundError("nothing is stored below it")
    return sum(storage.size(key) for key in files)


def _hash(storage: Storage, stored: _Stored) -> str:
    if stored.manifest is not None:
        with storage.local_folder(stored.key) as folder:
            return hash_of_folder(folder, stored.manifest)
    digest = hashlib.sha256()
    for piece in storage.read(stored.key, 0, stored.size):
        digest.update(piece)
    return digest.hexdigest()


def _still_there(database: Database, stored: _Stored) -> bool:
    """Whether the row is still there: its files go after it."""
    with database.reading() as session:
        return session.get(stored.model, stored.identity) is not None
