"""A job's phases, from wherever its row says that it is, whatever its kind."""

from sqlalchemy import and_, delete, or_

from core.db.models import Job, Trial
from core.kinds.kind import Phase, resolve
from core.kinds.work import GoBack
from core.trials.methods import OF_THE_SET
from core.trials.results import FINAL, POOL
from core.trials.rows import give_back
from core.work import wake_ups
from core.work.transitions import held_by, move, require
from worker.attempt import Attempt
from worker.inputs import opened
from worker.problems import named_for_users
from worker.work import JobWork


def run(attempt: Attempt) -> None:
    """One phase after the other, as long as the same queue serves them; then the job waits for another.

    Raises:
        StopRequested, LeaseLost, JobError
    """
    with attempt.database.reading() as session:
        job = attempt.job(session)
    with attempt.writing() as session:
        attempt.hold(session)
        give_back(session, job.id)  # what an earlier attempt had in hand
    with opened(attempt, job) as canonical:
        while True:
            work = JobWork(attempt, job, canonical)
            here = work.kind.phase(job.phase)
            try:
                with named_for_users(work):
                    resolve(here.run)(work)
            except GoBack as back:
                _go_back(attempt, work.kind.phase(back.phase))
            else:
                following = work.kind.after(job.phase, work.spec)
                if following is None:
                    return  # it has published itself
                if following.queue != here.queue:
                    _hand_over(attempt, following)
                    return
                _enter(attempt, following)
            with attempt.database.reading() as session:
                job = attempt.job(session)


def _enter(attempt: Attempt, phase: Phase) -> None:
    with attempt.writing() as session:
        attempt.record(session, "phase", {"phase": phase.name}, phase=phase.name)


def _hand_over(attempt: Attempt, phase: Phase) -> None:
    """Another queue serves it: this worker is free for the next job meanwhile."""
    row_id, fence = attempt.lease.row_id, attempt.lease.fence
    with attempt.writing() as session:
        target = "paused" if attempt.row(session).state == "pausing" else "queued"
        handed_over = move(
            session, Job, row_id, target, *held_by(Job, fence),
            data={"phase": phase.name}, phase=phase.name, queue=phase.queue, setbacks={},
        )  # fmt: skip
        require(handed_over, row_id, fence)
        if target == "queued":
            wake_ups.wake(session, session.get_one(Job, row_id))


def _go_back(attempt: Attempt, phase: Phase) -> None:
    """To the phase that makes the images anew, from an earlier checkpoint, or the networks that they are made
    with. Accuracies of the images go, too: another device would not make these again to the bit."""
    job_id = attempt.lease.row_id
    with attempt.writing() as session:
        attempt.record(session, "phase", {"phase": phase.name}, phase=phase.name)
        give_back(session, job_id)
        anew = or_(Trial.group == POOL, and_(Trial.group == FINAL, Trial.method.in_(OF_THE_SET)))
        session.execute(delete(Trial).where(Trial.job_id == job_id, anew))
