"""What is deleted because it is old, or because its owner stores too much: only as the settings say.

Each deletion is a transaction of its own, by the same functions that a request calls, so nothing goes that
a job or an ingest which has not ended needs. Several workers may do this at once: a row goes once.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final, Literal

import structlog
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.catalogue.datasets import delete_dataset
from core.catalogue.pools import delete_pooled, needed
from core.catalogue.uploads import delete_upload
from core.catalogue.usage import usage_of
from core.condensed.rows import delete_condensed_set
from core.db.models import Artifact, Checkpoint, CondensedSet, Dataset, Job, PooledNetwork, Snapshot, Upload
from core.db.session import Database
from core.db.types import db_now
from core.errors import Conflict, NotFound
from core.jobs.control import delete_job
from core.settings import Settings
from core.storage import Storage
from core.vocabulary import CONDENSED_SET_TERMINAL, DATASET_TERMINAL, JOB_TERMINAL

Kind = Literal["job", "dataset", "upload", "condensed_set", "trained_network"]

_DAY: Final = 86_400.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A row that is to go. `since`: when it ended, was last used or was made. `bytes` as its owner's usage
    counts them: those of an upload are freed only with the last upload of the same content."""

    kind: Kind
    id: str
    owner: str
    bytes: int
    since: datetime
    reason: str


def candidates(session: Session, settings: Settings) -> list[Candidate]:
    """What `apply` would delete now, in its order: jobs first, so that what they needed may go, too."""
    found = [*_by_age(session, settings)]
    named = {one.id for one in found}
    return [*found, *(one for one in _by_quota(session, settings, found) if one.id not in named)]


def apply(database: Database, storage: Storage, settings: Settings) -> list[Candidate]:
    """Delete what is due. Returns what went; each has a line in the log."""
    with database.reading() as session:
        due = candidates(session, settings)
    gone = []
    for one in due:
        try:
            with database.writing() as session:
                _DELETE[one.kind](session, storage, one)
        except (NotFound, Conflict) as error:
            log.info("kept by retention", kind=one.kind, id=one.id, detail=error.detail)
            continue
        gone.append(one)
        log.info("deleted by retention", **(asdict(one) | {"since": one.since.isoformat()}))
    return gone


def _by_age(session: Session, settings: Settings) -> Iterator[Candidate]:
    if (days := settings.retention_days_jobs) is not None:
        yield from _jobs(
            session, f"ended more than {days:g} days ago", Job.finished_at < db_now(-days * _DAY)
        )
    if (days := settings.retention_days_condensed_sets) is not None:
        reason = f"not used for more than {days:g} days"
        yield from _condensed_sets(session, reason, _set_used < db_now(-days * _DAY))
    if (days := settings.retention_days_trained_networks) is not None:
        old = PooledNetwork.used_at < db_now(-days * _DAY)
        yield from _trained_networks(session, f"not used for more than {days:g} days", old)
    if (days := settings.retention_days_datasets) is not None:
        yield from _datasets(session, f"not used for more than {days:g} days", _used < db_now(-days * _DAY))
    if (days := settings.retention_days_uploads) is not None:
        old = Upload.created_at < db_now(-days * _DAY)
        yield from _uploads(session, f"sent more than {days:g} days ago", old)


def _by_quota(session: Session, settings: Settings, due: list[Candidate]) -> Iterator[Candidate]:
    """Of each owner who stores too much: ended jobs, uploads, data sets, condensed sets and trained networks,
    the longest unused first, as many as it takes."""
    quota, percent = settings.owner_stored_bytes, settings.retention_full_percent
    if quota is None or percent is None:
        return
    limit = quota * percent // 100
    others = (select(model.owner) for model in (Job, Dataset, CondensedSet))
    for owner in sorted({*session.scalars(select(Upload.owner).union(*others))}):
        going = sum(one.bytes for one in due if one.owner == owner)
        stored = usage_of(session, owner).stored_bytes - going
        if stored <= limit:
            continue
        reason = f"its owner stores more than {percent} % of {quota} bytes"
        named = {one.id for one in due}
        oldest = [
            *_jobs(session, reason, Job.owner == owner),
            *_uploads(session, reason, Upload.owner == owner),
            *_datasets(session, reason, Dataset.owner == owner),
            *_condensed_sets(session, reason, CondensedSet.owner == owner),
            *_trained_networks(session, reason, PooledNetwork.owner == owner),
        ]
        for one in sorted(oldest, key=lambda one: one.since):
            if stored <= limit:
                break
            if one.bytes and one.id not in named:
                stored -= one.bytes
                yield one


def _stored(size: InstrumentedAttribute[int], of: ColumnElement[bool]) -> ColumnElement[int]:
    return select(func.coalesce(func.sum(size), 0)).where(of).scalar_subquery()


def _jobs(session: Session, reason: str, *which: ColumnElement[bool]) -> Iterator[Candidate]:
    size = (
        _stored(Artifact.size, Artifact.job_id == Job.id)
        + _stored(Checkpoint.size, Checkpoint.job_id == Job.id)
        + _stored(Snapshot.size, Snapshot.job_id == Job.id)
    )
    ended = (Job.state.in_(JOB_TERMINAL), Job.finished_at.is_not(None))
    columns = select(Job.id, Job.owner, size.label("bytes"), Job.finished_at.label("since"))
    for row in session.execute(columns.where(*ended, *which).order_by(Job.finished_at)):
        # PostgreSQL's sums are decimals.
        yield Candidate(kind="job", reason=reason, **row._asdict() | {"bytes": int(row.bytes)})


def _uploads(session: Session, reason: str, *which: ColumnElement[bool]) -> Iterator[Candidate]:
    """Uploads that are whole and of which nothing is being made."""
    needed = select(Dataset.upload_id).where(Dataset.state == "ingesting", Dataset.upload_id.is_not(None))
    read = select(CondensedSet.upload_id).where(
        CondensedSet.state == "reading", CondensedSet.upload_id.is_not(None)
    )
    free = (Upload.sha256.is_not(None), Upload.id.not_in(needed), Upload.id.not_in(read))
    columns = select(Upload.id, Upload.owner, Upload.size.label("bytes"), Upload.created_at.label("since"))
    for row in session.execute(columns.where(*free, *which).order_by(Upload.created_at)):
        yield Candidate(kind="upload", reason=reason, **row._asdict())


_last_job = select(func.max(Job.created_at)).where(Job.dataset_id == Dataset.id).scalar_subquery()
_used = func.coalesce(_last_job, Dataset.finished_at, Dataset.created_at, type_=Dataset.created_at.type)


def _datasets(session: Session, reason: str, *which: ColumnElement[bool]) -> Iterator[Candidate]:
    """Data sets that no job which has not ended needs; `since`, when a job was last made of it."""
    needed = select(Job.dataset_id).where(Job.state.not_in(JOB_TERMINAL), Job.dataset_id.is_not(None))
    columns = select(Dataset.id, Dataset.owner, Dataset.size.label("bytes"), _used.label("since"))
    read = select(CondensedSet.dataset_id).where(
        CondensedSet.state == "reading", CondensedSet.dataset_id.is_not(None)
    )
    free = (Dataset.state.in_(DATASET_TERMINAL), Dataset.id.not_in(needed), Dataset.id.not_in(read))
    for row in session.execute(columns.where(*free, *which).order_by(_used)):
        yield Candidate(kind="dataset", reason=reason, **row._asdict())


_last_use = select(func.max(Job.created_at)).where(Job.condensed_set_id == CondensedSet.id).scalar_subquery()
_set_used = func.coalesce(
    _last_use, CondensedSet.finished_at, CondensedSet.created_at, type_=CondensedSet.created_at.type
)


def _condensed_sets(session: Session, reason: str, *which: ColumnElement[bool]) -> Iterator[Candidate]:
    """Sets that no job has made and none that has not ended needs; `since`, when a job last took it."""
    needed = select(Job.condensed_set_id).where(
        Job.state.not_in(JOB_TERMINAL), Job.condensed_set_id.is_not(None)
    )
    size = _stored(Artifact.size, Artifact.condensed_set_id == CondensedSet.id)
    columns = select(CondensedSet.id, CondensedSet.owner, size.label("bytes"), _set_used.label("since"))
    free = (
        CondensedSet.job_id.is_(None),
        CondensedSet.state.in_(CONDENSED_SET_TERMINAL),
        CondensedSet.id.not_in(needed),
    )
    for row in session.execute(columns.where(*free, *which).order_by(_set_used)):
        yield Candidate(kind="condensed_set", reason=reason, **row._asdict() | {"bytes": int(row.bytes)})


def _trained_networks(session: Session, reason: str, *which: ColumnElement[bool]) -> Iterator[Candidate]:
    """Networks of pools that no job which has not ended may need; `since`, when a job last took them."""
    model = PooledNetwork
    columns = select(model.id, model.owner, model.size.label("bytes"), model.used_at.label("since"))
    free = columns.where(~needed(), *which).order_by(PooledNetwork.used_at)
    for row in session.execute(free):
        yield Candidate(kind="trained_network", reason=reason, **row._asdict())


def _delete_job(session: Session, storage: Storage, one: Candidate) -> None:
    job = session.get(Job, one.id)
    if job is None:
        raise NotFound(f"no job {one.id!r}")
    delete_job(session, storage, job)


_DELETE: Final[dict[Kind, Callable[[Session, Storage, Candidate], None]]] = {
    "job": _delete_job,
    "dataset": lambda session, storage, one: delete_dataset(session, storage, one.owner, one.id),
    "condensed_set": lambda session, storage, one: delete_condensed_set(session, storage, one.owner, one.id),
    "trained_network": lambda session, storage, one: delete_pooled(session, storage, one.owner, one.id),
    "upload": lambda session, storage, one: delete_upload(session, storage, one.owner, one.id),
}
