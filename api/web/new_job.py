"""The page of a new job: the form, its estimate, and the job."""

import hashlib
import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from api.deps import AppSettings, ReadSession, WriteSession
from api.routes.datasets import facts_of, read_report
from api.schemas.datasets import ReportOut
from api.schemas.jobs import JobCreate
from api.security import Caller, Writer
from api.web import job_form
from api.web.forms import Fields, Form
from api.web.rendering import render
from api.web.waiting import missing_queues
from core.catalogue import rows
from core.db.models import Dataset
from core.errors import CondenseryError, InvalidRequest
from core.ids import random_hex
from core.jobs.cost import cost
from core.jobs.queue import QUEUES
from core.jobs.spec import JobSpec
from core.jobs.speed import recent_speeds, seconds_of
from core.jobs.submission import create_job, fitted_spec
from core.settings import Settings

router = APIRouter(include_in_schema=False)

_OFFERED = 50


@router.get("/jobs/new")
def ask(
    request: Request,
    caller: Writer,
    session: ReadSession,
    settings: AppSettings,
    dataset: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    if dataset is None:
        ready = (Dataset.state == "ready",)
        offered, more = rows.page(session, Dataset, caller.owner, *ready, limit=_OFFERED, after=None)
        return render(request, "new_job_dataset.html", caller, datasets=offered, more=more)
    report = read_report(dataset, caller, session)
    values = _suggested(report)
    return _form(request, caller, session, settings, dataset, values, {})


@router.post("/jobs/new")
def submit(
    request: Request,
    form: Form,
    caller: Writer,
    session: WriteSession,
    settings: AppSettings,
    dataset: Annotated[str, Query(max_length=64)],
) -> Response:
    """Make the job, or, if that button was pressed, only say what it would cost."""
    values = job_form.values_of(form)
    body, faults = job_form.parse(values, dataset)
    if body is not None and form.one("action") != "estimate":
        try:
            job, _ = create_job(
                session,
                caller.owner,
                dataset_id=dataset,
                name=body.name,
                spec=_spec(body),
                priority=body.priority,
                settings=settings,
                idempotency_key=_key_of(form.one("once"), dataset, values),
            )
            return RedirectResponse(f"/jobs/{job.id}", 303)
        except InvalidRequest as error:
            # What is answered here is committed: nothing of the refused job may be, not even its key.
            session.rollback()
            faults = _fault_of(error)
    return _form(request, caller, session, settings, dataset, values, faults, form)


def _key_of(once: str, dataset_id: str, values: dict[str, Any]) -> str | None:
    """The same for a form that is sent twice; another one if it was changed meanwhile."""
    if not once:
        return None
    filled_in = json.dumps([once, dataset_id, values], sort_keys=True)
    return f"page-{hashlib.sha256(filled_in.encode()).hexdigest()}"


def _form(
    request: Request,
    caller: Caller,
    session: Session,
    settings: Settings,
    dataset_id: str,
    values: dict[str, Any],
    faults: dict[str, str],
    sent: Fields | None = None,
) -> Response:
    dataset = rows.get(session, Dataset, caller.owner, dataset_id)
    report = read_report(dataset_id, caller, session)
    estimate = None
    body, found = job_form.parse(values, dataset_id)
    faults = faults or found
    if body is not None and not faults:
        try:
            estimate = _estimate(session, body, dataset.manifest or {}, settings)
        except InvalidRequest as error:
            faults = _fault_of(error)
    asked = job_form.settings()
    known = {one.name for one in asked}
    return render(
        request,
        "new_job.html",
        caller,
        status=422 if faults and sent is not None else 200,
        dataset=dataset,
        report=report,
        first=[one for name in job_form.FIRST for one in asked if one.name == name],
        rest=[one for one in asked if one.name not in job_form.FIRST],
        values=values,
        suggested={"ipc": report.suggestions.get("ipc", []), "augment": [*_augments(report), "none"]},
        faults=faults,
        other_faults={name: text for name, text in faults.items() if name not in known},
        estimate=estimate,
        missing=missing_queues(session, settings, QUEUES),
        once=(sent and sent.one("once")) or random_hex(),
    )


def _augments(report: ReportOut) -> list[str]:
    advice = report.suggestions.get("augment", {})
    return [text for name, text in advice.items() if name.startswith("mirror_images")]


def _suggested(report: ReportOut) -> dict[str, Any]:
    """What fits this data set, and what shows whether it was worth it: an accuracy curve, and the baseline
    that a condensed set has to beat; everything else is left to its default."""
    values: dict[str, Any] = {
        one.name: list(one.default or []) if one.kind == "checkboxes" else "" for one in job_form.settings()
    }
    ipc = report.suggestions.get("ipc", [1])
    shown = {"evaluation.points": "3", "evaluation.baselines": ["random", "herding", "whole"]}
    return values | shown | {"ipc": str(ipc[min(len(ipc) - 1, 2)]), "recipe": "fast"}


def _estimate(
    session: Session, body: JobCreate, manifest: dict[str, Any], settings: Settings
) -> dict[str, Any]:
    """Cost of the job, by arithmetic; `known` is false where that has none.

    Raises:
        InvalidRequest: the set cannot be condensed so.
    """
    spec = fitted_spec(_spec(body), manifest, settings.max_ipc)
    try:
        found = cost(spec, facts_of(manifest))
    except ValueError:
        return {"known": False, "spec": spec}
    return {"known": True, "spec": spec, "cost": found, "seconds": seconds_of(found, recent_speeds(session))}


def _spec(body: JobCreate) -> JobSpec:
    return JobSpec.model_validate(body.model_dump(exclude={"dataset_id", "name", "priority"}))


def _fault_of(error: CondenseryError) -> dict[str, str]:
    place = ".".join(part for part in (error.pointer or "").split("/") if part and not part.isdigit())
    return {place: error.detail}
