"""Data sets: from an upload to `ready`, and away again."""

from pathlib import PurePosixPath

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.catalogue import idempotency, pools, rows
from core.catalogue.usage import admit_bytes
from core.data.import_path import resolve_import
from core.db.models import CondensedSet, Dataset, Event, Job, Upload
from core.errors import Conflict
from core.ids import new_id
from core.settings import Settings
from core.storage import Storage
from core.vocabulary import JOB_TERMINAL
from core.work import wake_ups
from core.work.events import first_event
from core.work.removal import remove_after_commit

#: Where the files of data sets are.
PREFIX = "datasets"


def create_dataset(
    session: Session,
    owner: str,
    *,
    upload_id: str | None,
    path: str | None,
    name: str | None,
    license: str | None,
    image_size: int | None,
    channels: int | None,
    seed: int,
    idempotency_key: str | None,
    settings: Settings,
) -> tuple[Dataset, bool]:
    """A data set to be made from an upload or from a path on the server's disk, and whether it is new.

    Exactly one of `upload_id` and `path` is given.

    Raises:
        NotFound: no such upload.
        Conflict: not all of it has come.
        InvalidRequest: as `resolve_import`.
        QuotaExceeded: the owner stores as much as may be stored.
    """
    fresh = new_id("ds")
    request = {
        "upload_id": upload_id,
        "path": path,
        "name": name,
        "license": license,
        "image_size": image_size,
        "channels": channels,
        "seed": seed,
    }
    dataset_id = idempotency.remember(session, owner, idempotency_key, request, fresh)
    if dataset_id != fresh:
        return rows.get(session, Dataset, owner, dataset_id), False
    admit_bytes(session, owner, 1, settings)  # how many it will be is known once it has been read
    if upload_id is not None:
        upload = rows.lock(session, Upload, owner, upload_id)
        if upload.sha256 is None:
            raise Conflict(
                f"{upload.id} is not complete yet: send the rest of it first",
                code="upload_not_complete",
            )
        found, default_name = {"upload_id": upload.id, "bytes": upload.size}, upload.file_name
    else:
        assert path is not None
        resolve_import(path, settings.import_dirs)
        found, default_name = {"path": path}, PurePosixPath(path).name[:200]
    dataset = Dataset(
        id=fresh,
        owner=owner,
        name=name or default_name or fresh,
        license=license,
        upload_id=upload_id,
        source_path=path,
        state="ingesting",
        image_size=image_size,
        channels=channels,
        seed=seed,
        fence=0,
    )
    session.add(dataset)
    first_event(session, dataset, found)
    session.flush()
    wake_ups.wake(session, dataset)
    session.refresh(dataset)
    return dataset, True


def delete_dataset(session: Session, storage: Storage, owner: str, dataset_id: str) -> None:
    """Delete the row, its events and its files. Its finished jobs and their artifacts stay.

    Raises:
        NotFound: no such data set.
        Conflict: a job that is not finished needs it, a condensed set is being read with its classes, or a
            worker is still reading it in.
    """
    dataset = rows.lock(session, Dataset, owner, dataset_id)
    if dataset.lease_until is not None:
        raise Conflict(f"{dataset.id} is being read: wait until it is ready or invalid")
    busy = session.scalar(
        select(Job.id).where(Job.dataset_id == dataset.id, Job.state.not_in(JOB_TERMINAL)).limit(1)
    )
    if busy:
        raise Conflict(
            f"{busy} still needs {dataset.id}: cancel that job, or wait until it ends", job_id=busy
        )
    reading = (CondensedSet.dataset_id == dataset.id, CondensedSet.state == "reading")
    if held := session.scalar(select(CondensedSet.id).where(*reading).limit(1)):
        raise Conflict(
            f"{held} is being read with the classes of {dataset.id}: wait until {held} is ready or invalid"
        )
    session.execute(delete(Event).where(Event.subject_id == dataset.id))
    session.delete(dataset)
    session.flush()
    pools.delete_without_data(session, storage, owner, dataset.content_hash)
    remove_after_commit(session, lambda: storage.delete_prefix(dataset_prefix(dataset.id)))


def dataset_prefix(dataset_id: str) -> str:
    return f"{PREFIX}/{dataset_id}"
