"""The page of a new job: the form, its estimate, and the job."""

from dataclasses import dataclass
from types import ModuleType
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from api.deps import AppSettings, ReadSession, WriteSession
from api.routes.datasets import read_report
from api.schemas.datasets import ReportOut
from api.schemas.jobs import KindName
from api.schemas.jobs import asked as asked_of
from api.security import Caller, Writer
from api.web import job_form, kinds
from api.web.forms import Fields, Form, key_of
from api.web.rendering import render
from api.web.schema_form import Setting, values_of
from api.web.waiting import missing_queues
from core.catalogue import rows
from core.db.models import CondensedSet, Dataset
from core.errors import CondenseryError, InvalidRequest
from core.ids import random_hex
from core.jobs.speed import recent_speeds, seconds_of
from core.jobs.submission import create_job, fit
from core.kinds import DEFAULT, KINDS
from core.kinds.kind import Kind
from core.settings import Settings
from core.strict import Strict
from core.vocabulary import QUEUES

router = APIRouter(include_in_schema=False)

_OFFERED = 50


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """Where the form was opened: for which kind, on what."""

    kind: Kind
    dataset_id: str
    condensed_set_id: str | None

    @property
    def page(self) -> ModuleType:
        return kinds.page_of(self.kind.name)

    @property
    def settings(self) -> list[Setting]:
        return job_form.settings(self.kind.name, self.page.COSTS)

    def given(self) -> dict[str, str]:
        found = {"kind": self.kind.name, "dataset_id": self.dataset_id}
        return (
            found if self.condensed_set_id is None else {**found, "condensed_set_id": self.condensed_set_id}
        )

    @property
    def address(self) -> str:
        query = {"kind": self.kind.name, "dataset": self.dataset_id, "condensed_set": self.condensed_set_id}
        return f"/jobs/new?{urlencode({name: one for name, one in query.items() if one is not None})}"


def _opened(
    kind: KindName = DEFAULT,
    dataset: Annotated[str | None, Query(max_length=64)] = None,
    condensed_set: Annotated[str | None, Query(max_length=64)] = None,
) -> _Opened | None:
    """None while the data set is to be chosen."""
    if dataset is None:
        return None
    return _Opened(kind=KINDS[kind], dataset_id=dataset, condensed_set_id=condensed_set)


Opened = Annotated[_Opened | None, Depends(_opened)]


@router.get("/jobs/new")
def ask(
    request: Request, caller: Writer, session: ReadSession, settings: AppSettings, opened: Opened
) -> Response:
    if opened is None:
        ready = (Dataset.state == "ready",)
        offered, more = rows.page(session, Dataset, caller.owner, *ready, limit=_OFFERED, after=None)
        query = request.url.query
        query = f"{query}&" if query else ""
        return render(request, "new_job_dataset.html", caller, datasets=offered, more=more, query=query)
    values: dict[str, Any] = {
        one.name: list(one.default or []) if one.kind == "checkboxes" else "" for one in opened.settings
    }
    report = read_report(opened.dataset_id, caller, session)
    values |= opened.page.suggested(report)
    return _form(request, caller, session, settings, opened, values, {})


@router.post("/jobs/new")
def submit(
    request: Request, form: Form, caller: Writer, session: WriteSession, settings: AppSettings, opened: Opened
) -> Response:
    """Make the job, or, if that button was pressed, only say what it would cost."""
    if opened is None:
        raise InvalidRequest("the address names no data set: ?dataset=ds_…", code="no_dataset")
    values = values_of(form, opened.settings)
    body, faults = job_form.parse(values, opened.settings, opened.given())
    if body is not None and form.one("action") != "estimate":
        try:
            job, _ = create_job(
                session,
                caller.owner,
                asked_of(body),
                settings=settings,
                idempotency_key=key_of(form, opened.given(), values),
            )
            return RedirectResponse(f"/jobs/{job.id}", 303)
        except InvalidRequest as error:
            # What is answered here is committed: nothing of the refused job may be, not even its key.
            session.rollback()
            faults = _fault_of(error)
    return _form(request, caller, session, settings, opened, values, faults, form)


def _form(
    request: Request,
    caller: Caller,
    session: Session,
    settings: Settings,
    opened: _Opened,
    values: dict[str, Any],
    faults: dict[str, str],
    sent: Fields | None = None,
) -> Response:
    dataset = rows.get(session, Dataset, caller.owner, opened.dataset_id)
    report = read_report(opened.dataset_id, caller, session)
    condensed = None
    if opened.condensed_set_id is not None:
        condensed = rows.get(session, CondensedSet, caller.owner, opened.condensed_set_id)
    estimate = None
    asked = opened.settings
    body, found = job_form.parse(values, asked, opened.given())
    faults = faults or found
    if body is not None and not faults:
        try:
            estimate = _estimate(session, caller.owner, body, dataset, settings, opened)
        except InvalidRequest as error:
            faults = _fault_of(error)
    known = {one.name for one in asked}
    first = opened.page.FIRST
    return render(
        request,
        "new_job.html",
        caller,
        status=422 if faults and sent is not None else 200,
        kind=opened.kind,
        address=opened.address,
        dataset=dataset,
        condensed=condensed,
        report=report,
        first=[one for name in first for one in asked if one.name == name],
        rest=[one for one in asked if one.name not in first],
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


def _estimate(
    session: Session, owner: str, body: Strict, dataset: Dataset, settings: Settings, opened: _Opened
) -> dict[str, Any]:
    """How much is to be done and what it costs, by arithmetic.

    Raises:
        InvalidRequest: the set cannot be condensed so.
    """
    found = fit(session, owner, asked_of(body), dataset, settings)
    seconds = seconds_of(found.cost, recent_speeds(session))
    networks = len(opened.kind.plan(found.spec).entries())
    amounts = {**opened.page.amounts(found.spec), "networks trained": networks}
    return {"spec": found.spec, "cost": found.cost, "seconds": seconds, "amounts": amounts}


def _fault_of(error: CondenseryError) -> dict[str, str]:
    place = ".".join(part for part in (error.pointer or "").split("/") if part and not part.isdigit())
    return {place: error.detail}
