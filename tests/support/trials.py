"""Trials of a job that several workers share."""

from typing import Any

from sqlalchemy import select

from core.db.models import Job, Trial
from core.kinds.condense import run as condensing
from core.kinds.condense.spec import CondenseSpec
from core.trials import rows as trial_rows
from core.trials.results import FINAL
from core.work.leases import claim_next
from tests.support.condensed import next_attempt
from tests.support.leased import job_of
from tests.support.workplace import Workplace
from worker.attempt import Attempt
from worker.inputs import opened
from worker.work import JobWork

WANTED: dict[str, Any] = {
    "iterations": 2,
    "evaluation": {"networks": 2, "epochs": 4, "whole_epochs": 2, "baselines": ["random"]},
}
Key = tuple[str, str, int]


def another_worker(place: Workplace) -> Attempt:
    """Its claim of whatever is next for a device."""
    with place.database.writing() as session:
        lease = claim_next(session, "gpu", worker="host:2", seconds=60, running_limit=9)
    assert lease is not None
    return Attempt(lease=lease, settings=place.settings, database=place.database, storage=place.storage)


def rows_of(place: Workplace, job_id: str) -> dict[Key, Trial]:
    with place.database.reading() as session:
        found = session.scalars(select(Trial).where(Trial.job_id == job_id, Trial.group == FINAL))
        return {(one.method, one.network, one.repeat): one for one in found}


def found_in(place: Workplace, job_id: str) -> dict[Key, object]:
    """What the trials came to, to the bit."""
    rows = rows_of(place, job_id)
    assert {one.state for one in rows.values()} == {"done"}
    return {key: (one.accuracy, one.per_class, one.confusion, one.epochs) for key, one in rows.items()}


def in_evaluation(place: Workplace, **wanted: Any) -> Attempt:
    """An attempt at a job that has offered its trials, and has trained none yet."""
    job_id = place.new_job(**(WANTED | wanted))
    attempt = next_attempt(place.database, place.storage, place.settings, job_id)
    job = job_of(place.database, job_id)
    with opened(attempt, job) as canonical:
        condensing.run(JobWork(attempt, job, canonical))
    with place.database.writing() as session:
        job = session.get_one(Job, job_id)
        job.phase = "evaluate"
        plan = CondenseSpec.model_validate(job.spec).trial_plan()
        trial_rows.offer(session, job, FINAL, dict(enumerate(plan.entries())), plan, None)
    return attempt


def trial_of(place: Workplace, attempt: Attempt) -> Trial:
    with place.database.reading() as session:
        return session.get_one(Trial, attempt.lease.row_id)
