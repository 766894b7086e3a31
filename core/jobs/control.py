"""What an owner may ask of a job that is there: stop, pause, go on, be gone.

Asking twice changes nothing more. A request that comes too late, because the job has ended meanwhile, is a
Conflict that names the state which it is in.
"""

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.catalogue import rows
from core.condensed.rows import require_unneeded
from core.db.models import CondensedSet, Event, Job
from core.errors import Conflict
from core.storage import Storage
from core.vocabulary import JOB_TERMINAL
from core.work import wake_ups
from core.work.files import PREFIX, keep_only_published
from core.work.removal import remove_after_commit
from core.work.transitions import move


def cancel_job(session: Session, storage: Storage, job: Job) -> Job:
    """A job that waits is cancelled at once, one that runs within a step.

    Raises:
        Conflict: it has succeeded or failed already.
    """
    job = _held_still(session, job)
    if move(session, Job, job.id, "cancelled", Job.lease_until.is_(None)):
        keep_only_published(session, storage, job.id)
    else:
        move(session, Job, job.id, "cancelling")
    return _now_in(session, job, "cancelling", "cancelled")


def pause_job(session: Session, job: Job) -> Job:
    """A job that waits pauses at once; one that runs saves its state first, and frees its device.

    Raises:
        Conflict: it has ended, or is being cancelled.
    """
    job = _held_still(session, job)
    if not move(session, Job, job.id, "paused", Job.lease_until.is_(None)):
        move(session, Job, job.id, "pausing")
    return _now_in(session, job, "pausing", "paused")


def resume_job(session: Session, job: Job) -> Job:
    """A paused job waits for a worker again, and goes on from its last checkpoint.

    Raises:
        Conflict: it is still pausing, has ended, or is being cancelled.
    """
    job = _held_still(session, job)
    if move(session, Job, job.id, "queued", Job.state == "paused", setbacks={}, retry_at=None):
        session.refresh(job)
        wake_ups.wake(session, job)
    return _now_in(session, job, "queued", "running")


def delete_job(session: Session, storage: Storage, job: Job) -> None:
    """Delete a job that has ended, with its history, results and files, and the condensed set that it made.

    Raises:
        Conflict: it has not ended, or a job that has not ended needs its condensed set.
    """
    job = _held_still(session, job)
    if job.state not in JOB_TERMINAL:
        raise Conflict(
            f"{job.id} is {job.state}: only a job that has ended can be deleted; cancel it first",
            job_state=job.state,
        )
    for made in session.scalars(select(CondensedSet).where(CondensedSet.job_id == job.id).with_for_update()):
        require_unneeded(session, made)
    session.execute(delete(Event).where(Event.subject_id == job.id))
    session.delete(job)
    session.flush()
    prefix = f"{PREFIX}/{job.id}"
    remove_after_commit(session, lambda: storage.delete_prefix(prefix))


def _held_still(session: Session, job: Job) -> Job:
    """The job as it is now. Nobody moves it before the transaction ends: one that is handed over to another
    worker waits for a moment, and would slip between the question whether it waits and the one whether it
    runs.

    Raises:
        NotFound: it was deleted meanwhile.
    """
    return rows.lock(session, Job, job.owner, job.id)


def _now_in(session: Session, job: Job, *wanted: str) -> Job:
    session.refresh(job)
    if job.state in wanted:
        return job
    already = " already" if job.state in JOB_TERMINAL else ""
    raise Conflict(f"{job.id} is {job.state}{already}", job_state=job.state)
