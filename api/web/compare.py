"""Up to five jobs side by side."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from api.deps import ReadSession
from api.routes import jobs as api
from api.schemas.jobs import EvaluationOut, JobOut
from api.security import Reader
from api.web.accuracy_plot import accuracy_plot
from api.web.jobs import names_of
from api.web.rendering import render
from core.catalogue import rows
from core.db.models import Job
from core.errors import InvalidRequest
from core.jobs.curves import curve
from core.trials.spec import NetworkSpec

router = APIRouter(include_in_schema=False)

MOST = 5
_OFFERED = 50


@router.get("/compare")
def compare(
    request: Request, caller: Reader, session: ReadSession, job: Annotated[list[str] | None, Query()] = None
) -> Response:
    chosen = list(dict.fromkeys(job or []))
    if len(chosen) > MOST:
        raise InvalidRequest(f"{len(chosen)} jobs are too many to compare: the limit is {MOST}", limit=MOST)
    jobs = [api.read_job(one, caller, session) for one in chosen]
    newest = api.list_jobs(caller, session, limit=_OFFERED)
    shown = {job.id for job in newest.data}
    offered = [*newest.data, *(job for job in jobs if job.id not in shown)]
    return render(
        request,
        "compare.html",
        caller,
        jobs=jobs,
        chosen=chosen,
        offered=offered,
        newest=_OFFERED if newest.has_more else None,
        names=names_of(session, caller.owner, offered),
        differing=_differing(jobs) if len(jobs) > 1 else {},
        accuracies=_accuracies(jobs),
        has_curve=any(_has_curve(session, caller.owner, job) for job in jobs),
        plot=accuracy_plot(jobs),
        letters={job.id: letter for job, letter in zip(jobs, "ABCDE", strict=False)},
        most=MOST,
    )


def _has_curve(session: Session, owner: str, job: JobOut) -> bool:
    """Whether there are two points of its loss, which a curve needs."""
    return len(curve(session, rows.get(session, Job, owner, job.id), "loss", 0, 2)) > 1


def _differing(jobs: list[JobOut]) -> dict[str, list[Any]]:
    """By setting, what each job has; only of those settings in which they differ."""
    flat = [{"kind": job.kind, "data": job.data_hash[:12], **_flat(job.spec)} for job in jobs]
    names = dict.fromkeys(name for one in flat for name in one)
    found = {name: [one.get(name) for one in flat] for name in names}
    return {name: values for name, values in found.items() if any(v != values[0] for v in values)}


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Settings by dotted name; of a network in a list its name in results, which says all that is set."""
    flat: dict[str, Any] = {}
    for name in type(value).model_fields:
        one = getattr(value, name)
        if isinstance(one, BaseModel):
            flat |= _flat(one, f"{prefix}{name}.")
        elif isinstance(one, list):
            flat[prefix + name] = ", ".join(
                each.label() if isinstance(each, NetworkSpec) else str(each) for each in one
            )
        else:
            flat[prefix + name] = one
    return flat


def _accuracies(jobs: list[JobOut]) -> dict[str, dict[str, list[EvaluationOut | None]]]:
    """By network, those of the jobs themselves first, and method: what each job has found, or None."""
    found = [{(one.network, one.method): one for one in job.evaluations} for job in jobs]
    pairs = dict.fromkeys(pair for each in found for pair in each)
    own = [job.plan.networks[0].label() for job in jobs]
    table: dict[str, dict[str, list[EvaluationOut | None]]] = {}
    for wanted in dict.fromkeys([*own, *(network for network, _ in pairs)]):
        for network, method in pairs:
            if network == wanted:
                table.setdefault(network, {})[method] = [each.get((network, method)) for each in found]
    return table
