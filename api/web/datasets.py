"""The pages of data sets."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.orm import Session

from api.deps import AppSettings, AppStorage, ReadSession, WriteSession
from api.pagination import After
from api.routes import datasets as api
from api.security import Reader, Writer
from api.web.figures import strips
from api.web.rendering import render
from core.catalogue import rows
from core.catalogue.datasets import delete_dataset
from core.db.models import Dataset, Job
from core.jobs.workers import seconds_since_heartbeat
from core.settings import Settings

router = APIRouter(include_in_schema=False)

_ON_A_PAGE = 50
_NEWEST_JOBS = 10
#: Of a preview (core/data/preview.py).
PREVIEW_CLASSES = 20


@router.get("/datasets")
def list_datasets(
    request: Request, caller: Reader, session: ReadSession, settings: AppSettings, after: After = None
) -> Response:
    page = api.list_datasets(caller, session, limit=_ON_A_PAGE, after=after)
    no_worker = any(one.state == "ingesting" for one in page.data) and is_no_worker(session, settings)
    return render(
        request,
        "datasets.html",
        caller,
        page=page,
        first=after is None,
        no_worker=no_worker,
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
    jobs, _ = rows.page(session, Job, caller.owner, Job.dataset_id == row.id, limit=_NEWEST_JOBS, after=None)
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
        jobs=jobs,
        no_worker=dataset.state == "ingesting" and is_no_worker(session, settings),
    )


@router.post("/datasets/{dataset_id}/delete")
def remove_dataset(dataset_id: str, caller: Writer, session: WriteSession, storage: AppStorage) -> Response:
    delete_dataset(session, storage, caller.owner, dataset_id)
    return RedirectResponse("/datasets", 303)


def is_no_worker(session: Session, settings: Settings) -> bool:
    """Whether what waits will go on waiting, as far as can be seen."""
    seconds = seconds_since_heartbeat(session)
    return seconds is None or seconds > settings.lease_seconds
