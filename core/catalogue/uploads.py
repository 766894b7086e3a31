"""Uploads that came whole, and the end of any."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.catalogue import blobs, rows
from core.db.models import CondensedSet, Dataset, Upload
from core.errors import Conflict
from core.storage import Storage


def create_upload(
    session: Session,
    storage: Storage,
    owner: str,
    *,
    upload_id: str,
    sha256: str,
    size: int,
    file_name: str | None,
) -> Upload:
    """The row of bytes that are already stored under `blobs.file_key_of(upload_id)`."""
    blobs.keep(session, storage, sha256=sha256, size=size, file_key=blobs.file_key_of(upload_id))
    upload = Upload(id=upload_id, owner=owner, sha256=sha256, size=size, file_name=file_name)
    session.add(upload)
    session.flush()
    session.refresh(upload)
    return upload


def delete_upload(session: Session, storage: Storage, owner: str, upload_id: str) -> None:
    """Delete the row, and its bytes unless another upload has the same. Data sets made from it stay.

    Of an upload that is still being received, the caller holds the partial file and removes it.

    Raises:
        NotFound: no such upload.
        Conflict: a data set or a condensed set is still being made from it.
    """
    upload = rows.lock(session, Upload, owner, upload_id)
    busy = session.scalar(
        select(Dataset.id).where(Dataset.upload_id == upload.id, Dataset.state == "ingesting").limit(1)
    )
    if busy:
        raise Conflict(f"{upload.id} is being read as {busy}: wait until that data set is ready or invalid")
    reading = (CondensedSet.upload_id == upload.id, CondensedSet.state == "reading")
    if held := session.scalar(select(CondensedSet.id).where(*reading).limit(1)):
        raise Conflict(f"{upload.id} is being read as {held}: wait until that set is ready or invalid")
    session.delete(upload)
    session.flush()
    if upload.sha256 is not None:
        blobs.release(session, storage, upload.sha256)
