"""Uploads that arrive in pieces: begun, continued where they broke off, completed, expired.

The partial file is the truth of how much has come, the row of everything else. Whoever changes either
holds the partial file's lock.
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.catalogue import blobs, idempotency, rows
from core.db.models import Upload
from core.db.session import Database
from core.db.types import db_now
from core.errors import Conflict, Gone, InvalidRequest, Locked
from core.ids import new_id
from core.storage import Storage
from core.storage.partial import PartialFile


class Progress(NamedTuple):
    """offset: bytes that have come and hold. expires_at: when the upload will be removed, if incomplete."""

    offset: int
    expires_at: datetime | None

    def require_alive(self, upload: Upload) -> None:
        """Raises Gone: it has expired, and is about to be removed."""
        if self.expires_at is not None and self.expires_at <= datetime.now(UTC):
            raise Gone(f"{upload.id} expired at {self.expires_at.isoformat()}: begin a new upload")


def progress(storage: Storage, upload: Upload, expiry_seconds: float) -> Progress:
    if upload.sha256 is not None:
        return Progress(upload.size, None)
    arrived = storage.partial.arrived(upload.id)
    if arrived is None:
        return Progress(0, upload.created_at)
    unverified = arrived.size if upload.unverified_from is None else upload.unverified_from
    return Progress(min(arrived.size, unverified), arrived.changed + timedelta(seconds=expiry_seconds))


def begin(
    session: Session,
    storage: Storage,
    owner: str,
    *,
    size: int,
    file_name: str | None,
    sha256: str | None,
    tus_metadata: str | None,
    idempotency_key: str | None,
) -> tuple[Upload, bool]:
    """An upload of `size` bytes, none of which has come, and whether it is new. `sha256` is what they must
    have in the end."""
    fresh = new_id("up")
    request = {"upload_length": size, "upload_metadata": tus_metadata}
    upload_id = idempotency.remember(session, owner, idempotency_key, request, fresh)
    if upload_id != fresh:
        return rows.get(session, Upload, owner, upload_id), False
    upload = Upload(
        id=fresh,
        owner=owner,
        size=size,
        file_name=file_name,
        announced_sha256=sha256,
        tus_metadata=tus_metadata,
    )
    storage.partial.create(upload.id)  # first: a row without a file is one that has expired
    session.add(upload)
    session.flush()
    session.refresh(upload)
    return upload, True


def require_incomplete(upload: Upload) -> None:
    """Raises Conflict."""
    if upload.sha256 is not None:
        raise Conflict(f"{upload.id} is complete: nothing can be added", code="upload_complete")


def begin_piece(
    session: Session, partial: PartialFile, owner: str, upload_id: str, *, offset: int, checksum: bool
) -> Upload:
    """Make ready to append at `offset`. With `checksum` the bytes hold only once `accept_piece` was called.

    Raises:
        NotFound: deleted meanwhile.
        Conflict: that is not where the upload stands, or it is complete.
    """
    upload = rows.lock(session, Upload, owner, upload_id)
    require_incomplete(upload)
    if upload.unverified_from is not None:
        partial.cut(min(partial.size, upload.unverified_from))
    if offset != partial.size:
        raise Conflict(
            f"{upload.id} has {partial.size} bytes, but the request continues at {offset}",
            code="offset_mismatch",
            offset=partial.size,
            value=offset,
        )
    upload.unverified_from = offset if checksum else None
    return upload


def accept_piece(session: Session, owner: str, upload_id: str) -> Upload:
    """What has come holds.

    Raises:
        NotFound: deleted meanwhile.
    """
    upload = rows.lock(session, Upload, owner, upload_id)
    upload.unverified_from = None
    return upload


def complete(database: Database, storage: Storage, partial: PartialFile, upload: Upload) -> Upload:
    """Make an upload whose bytes have all come one like any other.

    Raises:
        InvalidRequest: they are not the bytes that were announced. They are discarded, so that they can be
            sent again.
        NotFound: deleted meanwhile.
    """
    sha256 = partial.sha256()
    if upload.announced_sha256 not in (None, sha256):
        partial.cut(0)
        raise InvalidRequest(
            f"the SHA-256 is {sha256}, but {upload.announced_sha256} was announced: send the file again",
            code="digest_mismatch",
            sha256=sha256,
        )
    file_key = blobs.file_key_of(upload.id)
    storage.adopt(file_key, partial.path)
    with database.writing() as session:
        done = rows.lock(session, Upload, upload.owner, upload.id)
        blobs.keep(session, storage, sha256=sha256, size=done.size, file_key=file_key)
        done.sha256, done.unverified_from = sha256, None
    partial.remove()
    return done


def complete_if_whole(database: Database, storage: Storage, owner: str, upload_id: str) -> Upload:
    """The upload, completed if a crash after its last byte kept it from that.

    Raises:
        Locked: somebody is at it.
        InvalidRequest: as `complete`.
        NotFound, Gone: deleted meanwhile.
    """
    with storage.partial.lock(upload_id) as partial:
        with database.reading() as session:
            upload = rows.get(session, Upload, owner, upload_id)
        whole = partial.size == upload.size and upload.unverified_from is None
        if upload.sha256 is None and whole:
            return complete(database, storage, partial, upload)
        return upload


def forget_expired(database: Database, storage: Storage, expiry_seconds: float) -> int:
    """Remove uploads to which nothing came for `expiry_seconds`, each in a transaction of its own.

    Returns how many files were removed.
    """
    removed = 0
    for upload_id in storage.partial.unchanged_for(expiry_seconds):
        try:
            with storage.partial.lock(upload_id) as partial:
                if upload_id not in storage.partial.unchanged_for(expiry_seconds):
                    continue  # a piece came while this one waited
                with database.writing() as session:
                    _forget(session, upload_id)
                partial.remove()
                removed += 1
        except (Locked, Gone):
            continue
    old = select(Upload.id).where(Upload.sha256.is_(None), Upload.created_at < db_now(-expiry_seconds))
    with database.reading() as session:
        lost = [one for one in session.scalars(old) if storage.partial.arrived(one) is None]
    for upload_id in lost:
        with database.writing() as session:
            _forget(session, upload_id)
    return removed


def _forget(session: Session, upload_id: str) -> None:
    upload = session.get(Upload, upload_id, with_for_update=True)
    # One that was completed by a process that died before it could remove the file stays.
    if upload is not None and upload.sha256 is None:
        session.delete(upload)
