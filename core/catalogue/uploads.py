"""Uploads: a row and a blob each."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.catalogue import rows
from core.db.models import Dataset, Upload
from core.db.session import after_commit
from core.errors import Conflict
from core.storage.local import LocalStorage


def create_upload(
    session: Session, owner: str, *, upload_id: str, sha256: str, size: int, file_name: str | None
) -> Upload:
    """The row of bytes that are already stored under `blob_key(upload_id)`."""
    upload = Upload(
        id=upload_id,
        owner=owner,
        sha256=sha256,
        size=size,
        file_name=file_name,
        blob_key=blob_key(upload_id),
    )
    session.add(upload)
    session.flush()
    session.refresh(upload)
    return upload


def blob_key(upload_id: str) -> str:
    return f"uploads/{upload_id}"


def delete_upload(session: Session, storage: LocalStorage, owner: str, upload_id: str) -> None:
    """Delete the row and its bytes. Data sets that were made from it stay.

    Raises:
        NotFound: no such upload.
        Conflict: a data set is still being made from it.
    """
    upload = rows.lock(session, Upload, owner, upload_id)
    busy = session.scalar(
        select(Dataset.id).where(Dataset.upload_id == upload.id, Dataset.state == "ingesting").limit(1)
    )
    if busy:
        raise Conflict(f"{upload.id} is being ingested as {busy}: wait for it, or delete that first")
    session.delete(upload)
    session.flush()
    after_commit(session, lambda: storage.delete(upload.blob_key))
