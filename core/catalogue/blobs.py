"""The same bytes are one file, whoever sends them and however often.

A file is written under a key that was never used before, then registered. So whoever deletes a blob's
last upload, and after that its file, cannot take away what somebody else is just registering: that one
either waited for the deletion, and its own file is the blob now, or the deletion waited for it.
"""

from functools import partial

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from core.db.models import Blob, Upload
from core.storage import Storage
from core.work.removal import remove_after_commit

#: Where the files of uploads are.
PREFIX = "uploads"


def file_key_of(upload_id: str) -> str:
    """The key of an upload's own file: as new as the upload's id."""
    return f"{PREFIX}/{upload_id}"


def keep(session: Session, storage: Storage, *, sha256: str, size: int, file_key: str) -> None:
    """Make sure that there is a blob of these bytes until the transaction ends, to refer an upload to it.

    The file at `file_key` becomes the blob, or is dropped after the commit if there is one already.
    """
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    new = insert(Blob).values(sha256=sha256, size=size, file_key=file_key)
    held = None
    # On PostgreSQL the blob that was in the way may be deleted before it is locked.
    while held is None:
        session.execute(new.on_conflict_do_nothing(index_elements=[Blob.sha256]))
        held = session.scalar(select(Blob.file_key).where(Blob.sha256 == sha256).with_for_update())
    if held != file_key:
        remove_after_commit(session, partial(storage.delete, file_key))


def release(session: Session, storage: Storage, sha256: str) -> None:
    """Delete a blob, and its file after the commit, if no upload refers to it any more."""
    blob = session.scalars(
        select(Blob).where(Blob.sha256 == sha256).with_for_update().execution_options(populate_existing=True)
    ).one()
    if session.scalar(select(Upload.id).where(Upload.sha256 == sha256).limit(1)) is None:
        session.delete(blob)
        session.flush()
        remove_after_commit(session, partial(storage.delete, blob.file_key))
