"""`jobs`: look at anybody's, stop one; and one sweep of the reaper by hand.

None starts a failed job again: what has ended stays so, and its owner makes another.
"""

from dataclasses import asdict
from typing import Annotated, Any

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.admin.common import AsJson, fail, report, show, show_json, transaction
from core.db.models import Job
from core.errors import Conflict
from core.jobs.control import cancel_job
from core.settings import get_settings
from core.storage import get_storage
from core.vocabulary import JOB_STATES, PRIORITIES
from core.work import reaper

app = typer.Typer(no_args_is_help=True, help="Jobs of all owners.")

_MOST = 1000


def _state(value: str | None) -> str | None:
    if value is not None and value not in JOB_STATES:
        raise typer.BadParameter(f"{value!r} is none of {', '.join(JOB_STATES)}")
    return value


@app.command("list")
def list_jobs(
    state: Annotated[str | None, typer.Option(callback=_state, help=", ".join(JOB_STATES))] = None,
    owner: Annotated[str | None, typer.Option(help="Only this owner's.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=_MOST)] = 50,
    as_json: AsJson = False,
) -> None:
    """Jobs, newest first."""
    statement = select(Job).order_by(Job.id.desc()).limit(limit)
    if state is not None:
        statement = statement.where(Job.state == state)
    if owner is not None:
        statement = statement.where(Job.owner == owner)
    with transaction() as session:
        found = [_facts(job) for job in session.scalars(statement)]
    show(found, as_json, "id", "owner", "state", "phase", "priority", "iteration", "worker", "updated_at")


@app.command("show")
def show_job(job_id: str, as_json: AsJson = False) -> None:
    """Everything that is known of a job but its events."""
    with transaction() as session:
        job = _job(session, job_id)
        facts = {column.key: getattr(job, column.key) for column in Job.__table__.columns}
    if as_json:
        show_json(facts)
    else:
        show([{"field": name, "value": value} for name, value in facts.items()], False, "field", "value")


@app.command()
def cancel(job_id: str) -> None:
    """Cancel a job: at once if it waits, within a step if it runs."""
    with transaction() as session:
        try:
            job = cancel_job(session, get_storage(), _job(session, job_id))
        except Conflict as error:
            fail(error.detail)
    report(f"{job_id} is {job.state}.")


def reap(as_json: AsJson = False) -> None:
    """One sweep: requeue what dead workers held, and wake workers for what waits."""
    with transaction() as session:
        reaped = asdict(reaper.reap(session, get_storage(), get_settings()))
    show_json(reaped) if as_json else show([reaped], False, *reaped)


def _job(session: Session, job_id: str) -> Job:
    job = session.get(Job, job_id)
    if job is None:
        fail(f"no job {job_id!r}")
    return job


def _facts(job: Job) -> dict[str, Any]:
    plain = (
        "id",
        "owner",
        "name",
        "state",
        "phase",
        "iteration",
        "resumes",
        "worker",
        "created_at",
        "updated_at",
    )
    problem = (job.problem or {}).get("code")
    return {name: getattr(job, name) for name in plain} | {
        "priority": PRIORITIES[job.priority],
        "problem": problem,
    }
