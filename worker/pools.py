"""The weights of a pool's networks: a safetensors file and a row each."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from sqlalchemy.orm import Session

from core.catalogue import pools
from core.db.models import Job, PooledNetwork
from core.engine.config import EvaluateConfig
from core.engine.pool import SNAPSHOTS, Pool, PoolNetwork
from core.failpoints import reach
from core.ids import new_id
from core.storage.disk import sha256_file
from worker.attempt import Attempt

log = structlog.get_logger(__name__)


def settings_of(training: EvaluateConfig) -> dict[str, Any]:
    """All that decides on the weights besides the data: not how many networks there are."""
    settings = dataclasses.asdict(training) | {"moments": SNAPSHOTS + 1}
    del settings["networks"]
    # As JSON gives it back, so that it is found again.
    settings["protocol"]["lr_drops"] = [list(drop) for drop in settings["protocol"]["lr_drops"]]
    return settings


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Weights that are in the storage, and not in a row yet."""

    key: str
    size: int
    sha256: str


def store(attempt: Attempt, network: PoolNetwork) -> Stored:
    """Make the weights durable."""
    key = f"{pools.PREFIX}/{new_id('pn')}/network.safetensors"
    with attempt.storage.scratch() as folder:
        file = folder / "network"
        file.write_bytes(serialise({name: one.cpu().contiguous() for name, one in network.weights.items()}))
        stored = Stored(key=key, size=file.stat().st_size, sha256=sha256_file(file))
        attempt.storage.put(key, file)
    reach("pool.stored")
    return stored


def keep(
    session: Session,
    attempt: Attempt,
    job: Job,
    training: EvaluateConfig,
    repeat: int,
    seconds: float,
    stored: Stored,
) -> None:
    """Make them known; if another job was quicker, its network stays and these go."""
    fresh = PooledNetwork(
        id=stored.key.split("/")[1], owner=job.owner, data_hash=job.data_hash, training=settings_of(training),
        training_hash=pools.hash_of(settings_of(training)), repeat=repeat, blob_key=stored.key,
        size=stored.size, sha256=stored.sha256, seconds=seconds,
    )  # fmt: skip
    if not pools.keep(session, fresh):
        log.info("another job has trained the same network", repeat=repeat)
        attempt.storage.delete(stored.key)


def numbers(attempt: Attempt, job: Job, training: EvaluateConfig) -> set[int]:
    """Of the networks that are there already."""
    with attempt.database.reading() as session:
        return set(pools.found(session, job.owner, job.data_hash, settings_of(training)))


def load(attempt: Attempt, job: Job, training: EvaluateConfig) -> Pool | None:
    """All networks in their order; None if one is missing or damaged, which is then forgotten."""
    settings = settings_of(training)
    with attempt.database.reading() as session:
        there = pools.found(session, job.owner, job.data_hash, settings)
    if set(range(training.networks)) - set(there):
        return None
    networks = []
    for repeat in range(training.networks):
        row = there[repeat]
        try:
            with attempt.storage.local_file(row.blob_key) as path:
                if sha256_file(path) != row.sha256:
                    raise SafetensorError("the SHA-256 differs")
                with safe_open(path, framework="pt") as file:
                    weights: Mapping[str, Any] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            log.error("a network of the pool is damaged", network=row.id, detail=str(error))
            with attempt.writing() as session:
                pools.forget(session, attempt.storage, session.get_one(PooledNetwork, row.id))
            return None
        networks.append(PoolNetwork(weights=weights))
    with attempt.writing() as session:
        pools.use(session, job.owner, job.data_hash, settings)
    return networks
