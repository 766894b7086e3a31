"""Where a job's files are, and which of them a finished job still needs."""

from functools import partial

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.db.models import Artifact, Checkpoint, Job, Snapshot
from core.storage import Storage
from core.work.removal import remove_after_commit

#: Where the files of jobs are.
PREFIX = "jobs"

#: Where the files of condensed sets are that no job has made.
CONDENSED_SETS = "condensed"

#: A damaged newest checkpoint can be stepped over.
KEPT_CHECKPOINTS = 2


def attempt_prefix(job_id: str, fence: int) -> str:
    """Everything that one attempt writes; never written by another."""
    return f"{PREFIX}/{job_id}/a{fence}"


def condensed_set_prefix(condensed_set_id: str, fence: int) -> str:
    """As `attempt_prefix`, of an attempt at a condensed set."""
    return f"{CONDENSED_SETS}/{condensed_set_id}/a{fence}"


def checkpoint_key(job_id: str, fence: int, iteration: int) -> str:
    return f"{attempt_prefix(job_id, fence)}/checkpoint-{iteration:08d}.safetensors"


def snapshot_key(job_id: str, fence: int, iteration: int) -> str:
    return f"{attempt_prefix(job_id, fence)}/snapshot-{iteration:08d}.png"


def checkpoints_of(session: Session, job: Job) -> list[Checkpoint]:
    """Newest first: the latest attempt's, even where an earlier one got further (and was damaged)."""
    newest = (Checkpoint.fence.desc(), Checkpoint.iteration.desc())
    return list(session.scalars(select(Checkpoint).where(Checkpoint.job_id == job.id).order_by(*newest)))


def forget_old_checkpoints(session: Session, storage: Storage, job: Job) -> None:
    for old in checkpoints_of(session, job)[KEPT_CHECKPOINTS:]:
        session.delete(old)
        remove_after_commit(session, partial(storage.delete, old.blob_key))


def keep_only_published(session: Session, storage: Storage, job_id: str) -> None:
    """Delete checkpoints and what losing attempts left; artifacts and snapshots stay."""
    session.execute(delete(Checkpoint).where(Checkpoint.job_id == job_id))
    published = {
        *session.scalars(select(Artifact.blob_key).where(Artifact.job_id == job_id)),
        *session.scalars(select(Snapshot.blob_key).where(Snapshot.job_id == job_id)),
    }

    def sweep() -> None:
        for key in list(storage.keys(f"{PREFIX}/{job_id}")):
            if key not in published:
                storage.delete(key)

    remove_after_commit(session, sweep)
