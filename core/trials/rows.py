"""Trials as rows: offered to every worker, taken, and done once."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.db.models import Job, Trial
from core.db.types import db_now
from core.engine.evaluate import Score
from core.ids import new_id
from core.trials.results import CONFUSION_CLASSES
from core.trials.spec import Entry, TrialPlan
from core.work import wake_ups
from core.work.reaper import WAKE_AT_ONCE
from core.work.transitions import move


def of_group(session: Session, job: Job, group: str) -> list[Trial]:
    """In their order."""
    statement = select(Trial).where(Trial.job_id == job.id, Trial.group == group)
    return list(session.scalars(statement.order_by(Trial.position, Trial.step, Trial.repeat)))


def offer(
    session: Session,
    job: Job,
    group: str,
    entries: Mapping[int, Entry],
    plan: TrialPlan,
    selection_key: str | None,
) -> None:
    """Let every worker do these, each by its place among all of the job; some are woken."""
    added = [
        Trial(
            id=new_id("tr"),
            owner=job.owner,
            job_id=job.id,
            group=group,
            method=entry.method,
            network=entry.network.label(),
            protocol=plan.protocol_of(entry.network),
            repeat=entry.repeat,
            position=position,
            state="waiting",
            fence=0,
            selection_key=selection_key,
        )
        for position, entry in entries.items()
    ]
    session.add_all(added)
    session.flush()
    # The first is for the attempt itself.
    for trial in added[1:WAKE_AT_ONCE]:
        wake_ups.wake(session, trial)


def take_for_job(session: Session, trial_id: str, fence: int) -> bool:
    """Take a waiting one for the attempt `fence` at its job, whose lease holds it. False if it does not wait
    any more."""
    return move(session, Trial, trial_id, "running", Trial.state == "waiting", job_fence=fence)


def give_back(session: Session, job_id: str) -> None:
    """Let those wait again that an attempt at the job had in hand: it has ended, or lost its lease."""
    in_hand = (Trial.job_id == job_id, Trial.state == "running", Trial.job_fence.is_not(None))
    session.execute(
        update(Trial)
        .where(*in_hand)
        .values(state="waiting", job_fence=None, updated_at=db_now())
        .execution_options(synchronize_session=False)
    )


def keep(
    session: Session,
    job: Job,
    fence: int,
    group: str,
    entry: Entry,
    step: int,
    plan: TrialPlan,
    score: Score,
) -> None:
    """One that was done as soon as it was there: only its attempt has the images."""
    session.add(
        Trial(
            id=new_id("tr"),
            owner=job.owner,
            job_id=job.id,
            group=group,
            step=step,
            method=entry.method,
            network=entry.network.label(),
            protocol=plan.protocol_of(entry.network),
            repeat=entry.repeat,
            state="done",
            fence=fence,
            accuracy=score.accuracy,
            seconds=score.seconds,
            finished_at=db_now(),
        )
    )


def found(score: Score, *, epochs: int, train_images: int) -> dict[str, Any]:
    """The columns of a trial's result."""
    few = len(score.confusion) <= CONFUSION_CLASSES
    return {
        "accuracy": score.accuracy,
        "per_class": list(score.per_class),
        "confusion": [list(row) for row in score.confusion] if few else None,
        "seconds": score.seconds,
        "epochs": epochs,
        "train_images": train_images,
        "problem": None,
    }


def pooled_event(trial: Trial) -> dict[str, Any]:
    """What the job's history says of a network that it will match in."""
    return {"network": trial.network, "repeat": trial.repeat}


def event_of(trial: Trial, score: Score) -> dict[str, Any]:
    """What the job's history says of it."""
    about = {"method": trial.method, "network": trial.network, "repeat": trial.repeat}
    return {**about, "accuracy": score.accuracy}
