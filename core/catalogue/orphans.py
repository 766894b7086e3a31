"""Files that belong to nothing: a process died after it had stored them, or before it could delete them.
What becomes of them: core/catalogue/sweep.py.

The files are listed before the rows are read, so a file that is registered meanwhile is known. One that is
stored, but not registered yet, is young, or of an attempt that holds its row: both are left alone.
"""

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.catalogue import blobs
from core.catalogue.datasets import PREFIX as DATASETS
from core.catalogue.datasets import dataset_prefix
from core.catalogue.pools import PREFIX as POOLS
from core.db.models import (
    Artifact,
    Blob,
    Checkpoint,
    CondensedSet,
    Dataset,
    Job,
    PooledNetwork,
    Snapshot,
    Trial,
)
from core.storage import Storage
from core.work.files import CONDENSED_SETS, attempt_prefix, condensed_set_prefix
from core.work.files import PREFIX as JOBS

DAY_SECONDS = 86_400.0
#: Where files are stored. What somebody put elsewhere is named by `storage check`, and never deleted.
PREFIXES = (blobs.PREFIX, DATASETS, JOBS, CONDENSED_SETS, POOLS)
_AT_ONCE = 500


def orphans(session: Session, storage: Storage, older_than_seconds: float = DAY_SECONDS) -> list[str]:
    """The keys of files that belong to nothing, of uploads, data sets, jobs and condensed sets.

    None is younger than `older_than_seconds`: that one may be registered yet.
    """
    of_uploads, of_datasets, of_jobs, of_sets, of_pools = (
        storage.unchanged_for(prefix, older_than_seconds) for prefix in PREFIXES
    )
    found: list[str] = []
    for keys in _portions(of_uploads):
        known = set(session.scalars(select(Blob.file_key).where(Blob.file_key.in_(keys))))
        found += [key for key in keys if key not in known]
    for ids, keys in _by_subject(of_datasets):
        found += _outside(keys, _of_datasets(session, ids))
    for ids, keys in _by_subject(of_jobs):
        registered, held = _of_jobs(session, ids)
        found += [key for key in _outside(keys, held) if key not in registered]
    for ids, keys in _by_subject(of_sets):
        registered, held = _of_condensed_sets(session, ids)
        found += [key for key in _outside(keys, held) if key not in registered]
    for keys in _portions(of_pools):
        kept = set(session.scalars(select(PooledNetwork.blob_key).where(PooledNetwork.blob_key.in_(keys))))
        found += [key for key in keys if key not in kept]
    return found


def _portions(values: Iterable[str]) -> Iterator[list[str]]:
    """As many as a query may name."""
    remaining = list(values)
    for start in range(0, len(remaining), _AT_ONCE):
        yield remaining[start : start + _AT_ONCE]


def _by_subject(keys: list[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Ids, a moderate number of them, with their keys `<prefix>/<id>/…`."""
    by_id: dict[str, list[str]] = {}
    for key in keys:
        by_id.setdefault(key.split("/", 2)[1], []).append(key)
    for ids in _portions(by_id):
        yield ids, [key for one in ids for key in by_id[one]]


def _of_datasets(session: Session, ids: list[str]) -> set[str]:
    """What is below these belongs to a data set: its canonical form, or what an attempt is just storing."""
    columns = select(Dataset.id, Dataset.blob_prefix, Dataset.fence, Dataset.lease_until)
    prefixes = set()
    for row in session.execute(columns.where(Dataset.id.in_(ids))):
        if row.blob_prefix is not None:
            prefixes.add(row.blob_prefix)
        if row.lease_until is not None:
            prefixes.add(f"{dataset_prefix(row.id)}/a{row.fence}")
    return prefixes


def _of_jobs(session: Session, ids: list[str]) -> tuple[set[str], set[str]]:
    """The files of jobs that are registered, and the prefixes of attempts that may be storing some."""
    # Attempts first: one that publishes between the two questions is found by either.
    held = select(Job.id, Job.fence).where(Job.id.in_(ids), Job.lease_until.is_not(None))
    attempts = {attempt_prefix(row.id, row.fence) for row in session.execute(held)}
    registered = {
        *session.scalars(select(Artifact.blob_key).where(Artifact.job_id.in_(ids))),
        *session.scalars(select(Checkpoint.blob_key).where(Checkpoint.job_id.in_(ids))),
        *session.scalars(select(Snapshot.blob_key).where(Snapshot.job_id.in_(ids))),
        *session.scalars(select(Trial.selection_key).where(Trial.job_id.in_(ids))),
    }
    return {key for key in registered if key is not None}, attempts


def _of_condensed_sets(session: Session, ids: list[str]) -> tuple[set[str], set[str]]:
    """As `_of_jobs`, of sets that were read from uploads or merged."""
    held = select(CondensedSet.id, CondensedSet.fence).where(
        CondensedSet.id.in_(ids), CondensedSet.lease_until.is_not(None)
    )
    attempts = {condensed_set_prefix(row.id, row.fence) for row in session.execute(held)}
    keys = select(Artifact.blob_key).where(Artifact.condensed_set_id.in_(ids))
    return set(session.scalars(keys)), attempts


def _outside(keys: list[str], prefixes: set[str]) -> list[str]:
    """The keys that are below none of the prefixes."""
    return [key for key in keys if not prefixes.intersection(map(str, PurePosixPath(key).parents))]
