"""Condensed sets as rows: asked for, found, deleted. What is in them: core/condensed/publishing.py."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.catalogue import idempotency, rows
from core.catalogue.usage import admit_bytes
from core.condensed.merging import require_joinable
from core.db.models import Artifact, CondensedSet, Dataset, Event, Job, Upload
from core.errors import Conflict, InvalidRequest
from core.ids import new_id
from core.settings import Settings
from core.storage import Storage
from core.vocabulary import JOB_TERMINAL
from core.work import wake_ups
from core.work.events import first_event
from core.work.files import CONDENSED_SETS
from core.work.removal import remove_after_commit


def create_from_upload(
    session: Session,
    owner: str,
    *,
    upload_id: str,
    name: str | None,
    license: str | None,
    dataset_id: str | None,
    stated: Mapping[str, Any],
    idempotency_key: str | None,
    settings: Settings,
) -> tuple[CondensedSet, bool]:
    """A set to be read from an upload, and whether it is new.

    Args:
        dataset_id: the data set that it stands for, whose classes and normalisation it has unless its own
            files say otherwise.
        stated: fields of core/condensed/published/stated.py `Stated`.

    Raises:
        NotFound: no such upload or data set.
        Conflict: not all of the upload has come, or the data set is not ready.
        QuotaExceeded: the owner stores as much as may be stored.
    """
    fresh = new_id("cs")
    request = {
        "condensed_set_of": upload_id,
        "name": name,
        "license": license,
        "dataset_id": dataset_id,
        "stated": dict(stated),
    }
    known = idempotency.remember(session, owner, idempotency_key, request, fresh)
    if known != fresh:
        return rows.get(session, CondensedSet, owner, known), False
    admit_bytes(session, owner, 1, settings)  # how many it will be is known once it has been read
    upload = rows.lock(session, Upload, owner, upload_id)
    if upload.sha256 is None:
        raise Conflict(
            f"{upload.id} is not complete yet: send the rest of it first", code="upload_not_complete"
        )
    data_hash = None
    if dataset_id is not None:
        dataset = rows.lock(session, Dataset, owner, dataset_id)
        if dataset.state != "ready":
            raise Conflict(
                f"{dataset.id} is {dataset.state}: choose a data set that is ready",
                code="dataset_not_ready",
                dataset_state=dataset.state,
            )
        data_hash = dataset.content_hash
    row = CondensedSet(
        id=fresh,
        owner=owner,
        name=name or upload.file_name or fresh,
        state="reading",
        upload_id=upload.id,
        dataset_id=dataset_id,
        data_hash=data_hash,
        stated=dict(stated),
        license=license,
        fence=0,
    )
    return _asked_for(session, row, {"upload_id": upload.id, "bytes": upload.size}), True


def create_merge(
    session: Session,
    owner: str,
    *,
    condensed_set_ids: Sequence[str],
    name: str | None,
    idempotency_key: str | None,
    settings: Settings,
) -> tuple[CondensedSet, bool]:
    """A set to be merged of others, and whether it is new.

    Raises:
        NotFound: no such set.
        Conflict: one of them is not ready.
        InvalidRequest: as `require_joinable`, or one is named twice.
        QuotaExceeded: the owner stores as much as may be stored.
    """
    fresh = new_id("cs")
    request = {"merge_of": list(condensed_set_ids), "name": name}
    known = idempotency.remember(session, owner, idempotency_key, request, fresh)
    if known != fresh:
        return rows.get(session, CondensedSet, owner, known), False
    admit_bytes(session, owner, 1, settings)
    for place, one in enumerate(condensed_set_ids):
        if one in condensed_set_ids[:place]:
            raise InvalidRequest(
                f"{one[:80]} is named twice in condensed_set_ids: name each set once",
                code="set_repeated",
                pointer=f"/condensed_set_ids/{place}",
            )
    # In the order of their ids, so that two merges of the same sets do not wait for each other.
    found = {one: rows.lock(session, CondensedSet, owner, one) for one in sorted(condensed_set_ids)}
    parents = [found[one] for one in condensed_set_ids]
    for parent in parents:
        if parent.state != "ready":
            raise Conflict(
                f"{parent.id} is {parent.state}: choose condensed sets that are ready",
                code="condensed_set_not_ready",
                condensed_set_state=parent.state,
            )
    require_joinable(parents)
    row = CondensedSet(
        id=fresh,
        owner=owner,
        name=name or " + ".join(one.name for one in parents)[:200],
        state="reading",
        parents=[one.id for one in parents],
        dataset_id=_shared([one.dataset_id for one in parents]),
        data_hash=_shared([one.data_hash for one in parents]),
        license=merged_license([one.license for one in parents]),
        fence=0,
    )
    return _asked_for(session, row, {"condensed_set_ids": row.parents}), True


def merged_license(stated: Sequence[str | None]) -> str | None:
    """Of images under all of these; None if that of any is not known."""
    known = [one for one in dict.fromkeys(stated) if one is not None]
    if None in stated or not known:
        return None
    joined = " AND ".join(known)
    return joined if len(joined) <= 200 else None


def _shared(values: Sequence[str | None]) -> str | None:
    return values[0] if len(set(values)) == 1 else None


def _asked_for(session: Session, row: CondensedSet, data: dict[str, Any]) -> CondensedSet:
    session.add(row)
    first_event(session, row, data)
    session.flush()
    wake_ups.wake(session, row)
    session.refresh(row)
    return row


def delete_condensed_set(session: Session, storage: Storage, owner: str, condensed_set_id: str) -> None:
    """Delete the row with its events, artifacts and files. The job that made it stays, as do sets merged of
    it and ended evaluations.

    Raises:
        NotFound: no such set.
        Conflict: a worker is reading it, or as `require_unneeded`.
    """
    row = rows.lock(session, CondensedSet, owner, condensed_set_id)
    if row.lease_until is not None:
        raise Conflict(f"{row.id} is being read: wait until it is ready or invalid")
    require_unneeded(session, row)
    # Of a set that a job has made, they lie among the job's other files.
    keys = [one.blob_key for one in artifacts_of_set(session, row)] if row.job_id else []
    session.execute(delete(Event).where(Event.subject_id == row.id))
    session.delete(row)
    session.flush()
    for key in keys:
        remove_after_commit(session, partial(storage.delete, key))
    prefix = f"{CONDENSED_SETS}/{row.id}"
    remove_after_commit(session, lambda: storage.delete_prefix(prefix))


def artifacts_of_set(session: Session, row: CondensedSet) -> list[Artifact]:
    """The files that it offers, in the order in which they were written."""
    statement = select(Artifact).where(Artifact.condensed_set_id == row.id, Artifact.owner == row.owner)
    return list(session.scalars(statement.order_by(Artifact.id)))


def artifact_of_set(session: Session, condensed_set_id: str | None, format: str) -> Artifact | None:
    wanted = (Artifact.condensed_set_id == condensed_set_id, Artifact.format == format)
    return session.scalar(select(Artifact).where(*wanted))


def canonical_file(session: Session, condensed_set_id: str | None) -> Artifact | None:
    """The artifact that holds a set's pixels bit by bit, and reads back fastest."""
    return artifact_of_set(session, condensed_set_id, "safetensors")


def made_by_jobs(session: Session, job_ids: Sequence[str]) -> dict[str, str]:
    """By job, the id of the set that it has made."""
    found = select(CondensedSet.job_id, CondensedSet.id).where(CondensedSet.job_id.in_(job_ids))
    return {job_id: set_id for job_id, set_id in session.execute(found) if job_id is not None}


def require_unneeded(session: Session, condensed: CondensedSet) -> None:
    """Raises Conflict: a job that has not ended needs the set, or another set is being merged of it."""
    needs = (Job.condensed_set_id == condensed.id, Job.state.not_in(JOB_TERMINAL))
    busy = session.scalar(select(Job.id).where(*needs).limit(1))
    if busy:
        raise Conflict(
            f"{busy} still needs {condensed.id}: cancel that job, or wait until it ends", job_id=busy
        )
    for reading, parents in session.execute(
        select(CondensedSet.id, CondensedSet.parents).where(
            CondensedSet.owner == condensed.owner, CondensedSet.state == "reading"
        )
    ):
        if condensed.id in (parents or ()):
            raise Conflict(
                f"{reading} is being merged from {condensed.id}: wait until {reading} is ready, or delete it",
                condensed_set_id=reading,
            )
