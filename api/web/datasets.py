"""The pages of data sets."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from api.deps import AppSettings, AppStorage, ReadSession, WriteSession
from api.pagination import After
from api.routes import datasets as api
from api.routes import jobs as jobs_api
from api.security import Reader, Writer
from api.web.preview_strips import strips
from api.web.rendering import render
from api.web.waiting import missing_queues
from core.catalogue import rows
from core.catalogue.datasets import delete_dataset
from core.db.models import Dataset
from core.vocabulary import INTAKE_QUEUE

router = APIRouter(include_in_schema=False)

_ON_A_PAGE = 50
_NEWEST_JOBS = 10
#: Of a preview (core/data/canonical/preview.py).
PREVIEW_CLASSES = 20


@router.get("/datasets")
def list_datasets(
    request: Request, caller: Reader, session: ReadSession, settings: AppSettings, after: After = None
) -> Response:
    page = api.list_datasets(caller, session, limit=_ON_A_PAGE, after=after)
    waits_for = [INTAKE_QUEUE for one in page.data if one.state == "ingesting"]
    return render(
        request,
        "datasets.html",
        caller,
        page=page,
        first=after is None,
        missing=missing_queues(session, settings, waits_for),
        max_upload_bytes=settings.max_upload_bytes,
    )


@router.get("/datasets/{dataset_id}")
def read_dataset(
    dataset_id: str,
    request: Request,
    caller: Reader,
    session: ReadSession,
    settings: AppSettings,
    storage: AppStorage,
) -> Response:
    row = rows.get(session, Dataset, caller.owner, dataset_id)
    dataset = api.read_dataset(dataset_id, caller, session)
    ready = dataset.state == "ready"
    report = api.read_report(dataset_id, caller, session) if ready else None
    waits_for = [INTAKE_QUEUE] if dataset.state == "ingesting" else []
    return render(
        request,
        "dataset.html",
        caller,
        dataset=dataset,
        seq=row.event_seq,
        report=report,
        facts=(report.model_extra or {}) if report else {},
        strips=strips(storage, f"{row.blob_prefix}/preview.png", report.classes, PREVIEW_CLASSES)
        if report
        else [],
        jobs=jobs_api.list_jobs(caller, session, dataset_id=row.id, limit=_NEWEST_JOBS).data,
        missing=missing_queues(session, settings, waits_for),
    )


@router.post("/datasets/{dataset_id}/delete")
def remove_dataset(dataset_id: str, caller: Writer, session: WriteSession, storage: AppStorage) -> Response:
    delete_dataset(session, storage, caller.owner, dataset_id)
    return RedirectResponse("/datasets", 303)
