"""What a worker reads: an upload's bytes, as a file on this machine; and whether the result may be stored."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import select

from core.catalogue.usage import admit_bytes
from core.db.models import Blob, Upload
from core.errors import DataError, QuotaExceeded
from worker.attempt import Attempt


@contextmanager
def opened_upload(attempt: Attempt, upload_id: str | None) -> Iterator[tuple[Path, str]]:
    """Its file and its SHA-256.

    Raises:
        DataError: the upload is gone or damaged.
    """
    with attempt.database.reading() as session:
        blob = session.scalar(select(Blob).join(Upload).where(Upload.id == upload_id))
    if blob is None:
        raise DataError("the upload was deleted before it was read", code="upload_deleted")
    with ExitStack() as held:
        try:
            path = held.enter_context(attempt.storage.local_file(blob.file_key))
        except OSError as error:
            raise DataError(f"the upload is damaged: {error}", code="upload_damaged") from error
        yield path, blob.sha256


def admit_result(attempt: Attempt, owner: str, size: int) -> None:
    """Raises DataError: read out, the set is larger than what its owner may still store."""
    with attempt.database.reading() as session:
        try:
            admit_bytes(session, owner, size, attempt.settings)
        except QuotaExceeded as error:
            raise DataError(f"what was read cannot be stored: {error.detail}", code=error.code) from error
