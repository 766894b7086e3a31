"""The pages of condensed sets."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.deps import AppSettings, AppStorage, ReadSession, WriteSession
from api.pagination import After
from api.routes import condensed_sets as api
from api.security import Caller, Reader, Writer
from api.web.condensed_questions import (
    answered,
    command,
    make_anew,
    questions_of,
    require_upload,
    stands_for,
)
from api.web.forms import Fields, Form, key_of
from api.web.manifests import manifest_of
from api.web.preview_strips import PREVIEW_CLASSES, PREVIEW_IMAGES, strips
from api.web.rendering import render
from api.web.schema_form import values_of
from api.web.waiting import missing_queues
from core.catalogue import rows
from core.condensed.rows import artifacts_of_set, delete_condensed_set
from core.db.models import CondensedSet, Dataset, Job
from core.errors import Conflict
from core.ids import random_hex
from core.settings import Settings
from core.storage import Storage
from core.vocabulary import INTAKE_QUEUE

router = APIRouter(include_in_schema=False)

_ON_A_PAGE = 50
_NEWEST_JOBS = 10


@router.get("/condensed-sets")
def list_condensed_sets(
    request: Request, caller: Reader, session: ReadSession, settings: AppSettings, after: After = None
) -> Response:
    page = api.list_condensed_sets(caller, session, limit=_ON_A_PAGE, after=after)
    waits_for = [INTAKE_QUEUE for one in page.data if one.state == "reading"]
    return render(
        request,
        "condensed_sets.html",
        caller,
        page=page,
        first=after is None,
        stands_for=stands_for(session, caller.owner),
        max_upload_bytes=settings.max_upload_bytes,
        missing=missing_queues(session, settings, waits_for),
    )


@router.get("/condensed-sets/{condensed_set_id}")
def read_condensed_set(
    condensed_set_id: str,
    request: Request,
    caller: Reader,
    session: ReadSession,
    settings: AppSettings,
    storage: AppStorage,
) -> Response:
    row = rows.get(session, CondensedSet, caller.owner, condensed_set_id)
    return _page(request, caller, session, settings, storage, row, {})


@router.post("/condensed-sets/{condensed_set_id}")
def answer_questions(
    condensed_set_id: str,
    request: Request,
    form: Form,
    caller: Writer,
    session: WriteSession,
    settings: AppSettings,
    storage: AppStorage,
) -> Response:
    """Make an unclear set anew, as it was asked for and with what it asks."""
    row = rows.get(session, CondensedSet, caller.owner, condensed_set_id)
    questions = questions_of(session, row)
    if not questions:
        raise Conflict(f"{row.id} is {row.state}, and asks nothing")
    require_upload(row)  # before faults: no answer would help
    values = values_of(form, [one for question in questions for one in question.asked])
    statement, faults = answered(questions, values, row)
    if statement is None:
        return _page(request, caller, session, settings, storage, row, faults, form)
    made = make_anew(
        session,
        row,
        statement,
        form.one("dataset_id") if "dataset_id" in values else None,
        idempotency_key=key_of(form, row.id, values),
        settings=settings,
    )
    return RedirectResponse(f"/condensed-sets/{made.id}", 303)


def _page(
    request: Request,
    caller: Caller,
    session: Session,
    settings: Settings,
    storage: Storage,
    row: CondensedSet,
    faults: Mapping[str, str],
    sent: Fields | None = None,
) -> Response:
    questions = questions_of(session, row)
    asked = [one for question in questions for one in question.asked]
    files = {one.format: one for one in artifacts_of_set(session, row)}
    preview, classes = files.get("preview"), (row.manifest or {}).get("classes", [])
    return render(
        request,
        "condensed_set.html",
        caller,
        status=422 if faults else 200,
        set=api.read_condensed_set(row.id, caller, session),
        seq=row.event_seq,
        files=list(files.values()),
        preview=preview,
        classes=classes,
        drawn=PREVIEW_IMAGES,
        strips=strips(storage, preview.blob_key, classes, PREVIEW_CLASSES) if preview else [],
        loading=manifest_of(storage, files.get("manifest")).get("how_to_load", {}),
        dataset_name=_dataset_name(session, row),
        parents=_names(session, row),
        questions=questions,
        values=values_of(sent or Fields([]), asked),
        faults=faults,
        other_faults={name: text for name, text in faults.items() if name not in {one.name for one in asked}},
        labels={one.name: one.label for one in asked},
        command=command(questions, row),
        once=(sent and sent.one("once")) or random_hex(),
        evaluations=_evaluations(session, row),
        missing=missing_queues(session, settings, [INTAKE_QUEUE] if row.state == "reading" else []),
    )


@router.post("/condensed-sets/{condensed_set_id}/delete")
def remove_condensed_set(
    condensed_set_id: str, caller: Writer, session: WriteSession, storage: AppStorage
) -> Response:
    delete_condensed_set(session, storage, caller.owner, condensed_set_id)
    return RedirectResponse("/condensed-sets", 303)


def _dataset_name(session: Session, row: CondensedSet) -> str | None:
    mine = (Dataset.id == row.dataset_id, Dataset.owner == row.owner)
    return session.scalar(select(Dataset.name).where(*mine))


def _names(session: Session, row: CondensedSet) -> list[tuple[str, str | None]]:
    """The sets that it was merged of: id, and name unless it was deleted."""
    mine = (CondensedSet.owner == row.owner, CondensedSet.id.in_(row.parents or ()))
    known: dict[str, Any] = dict(
        session.execute(select(CondensedSet.id, CondensedSet.name).where(*mine)).all()
    )
    return [(one, known.get(one)) for one in row.parents or ()]


def _evaluations(session: Session, row: CondensedSet) -> list[Job]:
    """The newest jobs that work on it."""
    mine = (Job.owner == row.owner, Job.condensed_set_id == row.id)
    return list(session.scalars(select(Job).where(*mine).order_by(Job.id.desc()).limit(_NEWEST_JOBS)))
