"""Checkpoints: a safetensors file and a row, both under the fence that wrote them."""

import structlog
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise

from core.db.models import Checkpoint, Job
from core.failpoints import reach
from core.kinds.work import Saved
from core.storage.disk import sha256_file
from core.work.files import checkpoint_key, checkpoints_of, forget_old_checkpoints
from worker.attempt import Attempt

log = structlog.get_logger(__name__)


def save(attempt: Attempt, saved: Saved) -> None:
    """Make a state durable, then known.

    Raises:
        LeaseLost
    """
    lease = attempt.lease
    key = checkpoint_key(lease.row_id, lease.fence, saved.step)
    with attempt.storage.scratch() as folder:
        reach("checkpoint.begun")
        file = folder / "checkpoint"
        tensors = {name: one.cpu().contiguous() for name, one in saved.tensors.items()}
        # Not save_file: it puts a full disk in words of its own, which nobody could tell from damage.
        file.write_bytes(serialise(tensors, dict(saved.facts) or None))
        size, digest = file.stat().st_size, sha256_file(file)
        reach("checkpoint.written")
        attempt.storage.put(key, file)
    reach("checkpoint.stored")
    with attempt.writing() as session:
        attempt.record(
            session, "checkpoint", {"iteration": saved.step, "bytes": size},
            iteration=saved.step, setbacks={},
        )  # fmt: skip
        job = attempt.job(session)
        session.merge(
            Checkpoint(
                job_id=job.id, owner=job.owner, fence=lease.fence, iteration=saved.step,
                blob_key=key, size=size, sha256=digest,
            )
        )  # fmt: skip
        session.flush()
        forget_old_checkpoints(session, attempt.storage, job)
    reach("checkpoint.recorded")


def load_newest(attempt: Attempt, job: Job, device: torch.device) -> Saved | None:
    """The newest checkpoint that is whole; a damaged one is stepped over and reported."""
    with attempt.database.reading() as session:
        known = checkpoints_of(session, job)
    for checkpoint in known:
        try:
            with attempt.storage.local_file(checkpoint.blob_key) as path:
                if sha256_file(path) != checkpoint.sha256:
                    raise SafetensorError("the SHA-256 differs")
                with safe_open(path, framework="pt", device=str(device)) as file:
                    tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                    facts = file.metadata() or {}
        except (OSError, SafetensorError) as error:
            damage = {"iteration": checkpoint.iteration, "detail": str(error)}
            log.error("checkpoint is damaged", **damage)
            with attempt.writing() as session:
                attempt.record(session, "checkpoint_damaged", damage)
            continue
        return Saved(tensors=tensors, step=checkpoint.iteration, facts=facts)
    return None
