"""Up to five jobs side by side."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from api.deps import ReadSession
from api.routes import jobs as api
from api.schemas.jobs import JobOut
from api.security import Reader
from api.web.accuracy_plot import accuracy_plot
from api.web.jobs import names_of
from api.web.rendering import render
from core.errors import InvalidRequest

router = APIRouter(include_in_schema=False)

MOST = 5
_OFFERED = 50


@router.get("/compare")
def compare(
    request: Request, caller: Reader, session: ReadSession, job: Annotated[list[str] | None, Query()] = None
) -> Response:
    chosen = list(dict.fromkeys(job or []))
    if len(chosen) > MOST:
        raise InvalidRequest(f"{len(chosen)} jobs are to be compared; {MOST} is the limit", limit=MOST)
    jobs = [api.read_job(one, caller, session) for one in chosen]
    offered = api.list_jobs(caller, session, limit=_OFFERED).data
    return render(
        request,
        "compare.html",
        caller,
        jobs=jobs,
        chosen=chosen,
        offered=offered,
        names=names_of(session, caller.owner, [*jobs, *offered]),
        differing=_differing(jobs) if len(jobs) > 1 else {},
        accuracies=_accuracies(jobs),
        plot=accuracy_plot(jobs),
        letters={job.id: letter for job, letter in zip(jobs, "ABCDE", strict=False)},
        most=MOST,
    )


def _differing(jobs: list[JobOut]) -> dict[str, list[Any]]:
    """By setting, what each job has; only of those settings in which they differ."""
    flat = [{"data": job.data_hash[:12], **_flat(job.spec.model_dump(mode="json"))} for job in jobs]
    names = dict.fromkeys(name for one in flat for name in one)
    found = {name: [one.get(name) for one in flat] for name in names}
    return {name: values for name, values in found.items() if any(v != values[0] for v in values)}


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, one in value.items():
        if isinstance(one, dict):
            flat |= _flat(one, f"{prefix}{name}.")
        elif name == "cross_architecture":
            flat[prefix + name] = ", ".join(each["name"] for each in one)
        else:
            flat[prefix + name] = ", ".join(map(str, one)) if isinstance(one, list) else one
    return flat


def _accuracies(jobs: list[JobOut]) -> dict[str, list[Any]]:
    """By method, what each job has found on its own network, or None."""
    own = [
        {one.method: one for one in job.evaluations if one.network == job.spec.network_name()} for job in jobs
    ]
    methods = dict.fromkeys(method for each in own for method in each)
    return {method: [each.get(method) for each in own] for method in methods}
