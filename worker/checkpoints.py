"""Checkpoints: a safetensors file and a row, both under the fence that wrote them."""

import structlog
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise

from core.db.models import Checkpoint, Job
from core.engine.state import CondenseState, check_finite
from core.failpoints import reach
from core.jobs.files import checkpoint_key, checkpoints_of, forget_old_checkpoints
from core.storage.disk import sha256_file
from worker.attempt import Attempt

log = structlog.get_logger(__name__)


def save(attempt: Attempt, state: CondenseState) -> None:
    """Make `state` durable, then known. A state with a NaN is never kept.

    Raises:
        NumericalError, LeaseLost
    """
    check_finite(state)
    lease = attempt.lease
    key = checkpoint_key(lease.row_id, lease.fence, state.iteration)
    with attempt.storage.scratch() as folder:
        reach("checkpoint.begun")
        file = folder / "checkpoint"
        tensors = {"images_NCHW": state.images_NCHW, "velocity_NCHW": state.velocity_NCHW}
        # A resumed attempt goes on with what memory sufficed for, and so to the same bits.
        found = None if state.micro_batch is None else {"micro_batch": str(state.micro_batch)}
        # Not save_file: it puts a full disk in words of its own, which nobody could tell from damage.
        file.write_bytes(serialise({name: one.cpu().contiguous() for name, one in tensors.items()}, found))
        size, digest = file.stat().st_size, sha256_file(file)
        reach("checkpoint.written")
        attempt.storage.put(key, file)
    reach("checkpoint.stored")
    with attempt.writing() as session:
        attempt.record(
            session, "checkpoint", {"iteration": state.iteration, "bytes": size},
            iteration=state.iteration, setbacks={},
        )  # fmt: skip
        job = attempt.job(session)
        session.merge(
            Checkpoint(
                job_id=job.id, owner=job.owner, fence=lease.fence, iteration=state.iteration,
                blob_key=key, size=size, sha256=digest,
            )
        )  # fmt: skip
        session.flush()
        forget_old_checkpoints(session, attempt.storage, job)
    reach("checkpoint.recorded")


def load_newest(attempt: Attempt, job: Job, device: torch.device) -> CondenseState | None:
    """The newest checkpoint that is whole; a damaged one is stepped over and reported."""
    with attempt.database.reading() as session:
        known = checkpoints_of(session, job)
    for checkpoint in known:
        try:
            with attempt.storage.local_file(checkpoint.blob_key) as path:
                if sha256_file(path) != checkpoint.sha256:
                    raise SafetensorError("the SHA-256 differs")
                with safe_open(path, framework="pt", device=str(device)) as file:
                    tensors = {name: file.get_tensor(name) for name in ("images_NCHW", "velocity_NCHW")}
                    found = (file.metadata() or {}).get("micro_batch")
        except (OSError, SafetensorError) as error:
            damage = {"iteration": checkpoint.iteration, "detail": str(error)}
            log.error("checkpoint is damaged", **damage)
            with attempt.writing() as session:
                attempt.record(session, "checkpoint_damaged", damage)
            continue
        return CondenseState(
            images_NCHW=tensors["images_NCHW"],
            velocity_NCHW=tensors["velocity_NCHW"],
            iteration=checkpoint.iteration,
            micro_batch=None if found is None else int(found),
        )
    return None
