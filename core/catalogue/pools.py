"""Trained networks as rows: found by data and training, used, deleted. Their weights: worker/pools.py."""

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, select, update
from sqlalchemy.orm import Session

from core.db.locks import serialise
from core.db.models import Dataset, Job, PooledNetwork
from core.db.types import db_now
from core.errors import Conflict, NotFound
from core.storage import Storage
from core.vocabulary import JOB_TERMINAL
from core.work.removal import remove_after_commit

#: Where their files are.
PREFIX = "pools"


def hash_of(training: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of what decides on the weights besides the data."""
    return hashlib.sha256(json.dumps(training, sort_keys=True).encode()).hexdigest()


def found(
    session: Session, owner: str, data_hash: str, training: Mapping[str, Any]
) -> dict[int, PooledNetwork]:
    """Those that are there, by their number."""
    statement = select(PooledNetwork).where(*_of_pool(owner, data_hash, training))
    return {one.repeat: one for one in session.scalars(statement)}


def use(session: Session, owner: str, data_hash: str, training: Mapping[str, Any]) -> None:
    """Note that they were taken now."""
    session.execute(
        update(PooledNetwork)
        .where(*_of_pool(owner, data_hash, training))
        .values(used_at=db_now())
        .execution_options(synchronize_session=False)
    )


def keep(session: Session, fresh: PooledNetwork) -> bool:
    """Add one, unless there is one of its pool and number already: another job was quicker."""
    serialise(session, f"pools of {fresh.owner}")
    there = found(session, fresh.owner, fresh.data_hash, fresh.training)
    if fresh.repeat in there:
        return False
    session.add(fresh)
    session.flush()
    return True


def forget(session: Session, storage: Storage, network: PooledNetwork) -> None:
    """Delete the row, then its file."""
    session.delete(network)
    session.flush()
    remove_after_commit(session, partial(storage.delete, network.blob_key))


def delete_pooled(session: Session, storage: Storage, owner: str, network_id: str) -> None:
    """Delete one that no job which has not ended may need.

    Raises:
        NotFound: no such network.
        Conflict: a job of its data has not ended.
    """
    network = session.get(PooledNetwork, network_id, with_for_update=True)
    if network is None or network.owner != owner:
        raise NotFound(f"no trained network {network_id!r}")
    if session.scalar(select(PooledNetwork.id).where(PooledNetwork.id == network_id, needed())):
        raise Conflict(f"a job of the data set that {network_id} was trained on has not ended")
    forget(session, storage, network)


def needed() -> ColumnElement[bool]:
    """Of a pooled network: whether a job that has not ended may match in it."""
    same = (Job.owner == PooledNetwork.owner, Job.data_hash == PooledNetwork.data_hash)
    return exists().where(*same, Job.state.not_in(JOB_TERMINAL))


def delete_without_data(session: Session, storage: Storage, owner: str, data_hash: str | None) -> None:
    """Delete networks trained on data of which the owner has no data set any more."""
    others = exists().where(Dataset.owner == owner, Dataset.content_hash == data_hash)
    if data_hash is None or session.scalar(select(others)):
        return
    which = (PooledNetwork.owner == owner, PooledNetwork.data_hash == data_hash)
    for key in session.scalars(select(PooledNetwork.blob_key).where(*which)).all():
        remove_after_commit(session, partial(storage.delete, key))
    session.execute(delete(PooledNetwork).where(*which))


def _of_pool(owner: str, data_hash: str, training: Mapping[str, Any]) -> tuple[ColumnElement[bool], ...]:
    return (
        PooledNetwork.owner == owner,
        PooledNetwork.data_hash == data_hash,
        PooledNetwork.training_hash == hash_of(training),
    )
