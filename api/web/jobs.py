"""The pages of jobs and of their results."""

from collections.abc import Iterable

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.deps import AppSettings, AppStorage, ReadSession, WriteSession
from api.pagination import After
from api.routes import jobs as api
from api.schemas.jobs import JobOut
from api.security import Reader, Writer
from api.web import kinds, preview_strips, results_plot
from api.web.manifests import manifest_of
from api.web.preview_strips import PREVIEW_CLASSES, PREVIEW_IMAGES
from api.web.progress import AT_REST, progress_of
from api.web.rendering import render
from api.web.waiting import missing_queues
from core.catalogue import rows
from core.catalogue.artifacts import artifacts_of
from core.db.models import Dataset, Job
from core.errors import Conflict
from core.jobs.control import cancel_job, delete_job, pause_job, resume_job
from core.vocabulary import JOB_TERMINAL

router = APIRouter(include_in_schema=False)

_ON_A_PAGE = 50


@router.get("/jobs")
def list_jobs(
    request: Request, caller: Reader, session: ReadSession, settings: AppSettings, after: After = None
) -> Response:
    page = api.list_jobs(caller, session, limit=_ON_A_PAGE, after=after)
    return render(
        request,
        "jobs.html",
        caller,
        page=page,
        first=after is None,
        names=names_of(session, caller.owner, page.data),
        missing=missing_queues(session, settings, _waits_for(page.data)),
    )


@router.get("/jobs/{job_id}")
def read_job(
    job_id: str,
    request: Request,
    caller: Reader,
    session: ReadSession,
    settings: AppSettings,
    storage: AppStorage,
) -> Response:
    row = rows.get(session, Job, caller.owner, job_id)
    job = api.read_job(job_id, caller, session)
    dataset = session.scalar(
        select(Dataset).where(Dataset.owner == caller.owner, Dataset.id == row.dataset_id)
    )
    return render(
        request,
        "job.html",
        caller,
        job=job,
        seq=row.event_seq,
        ended=job.state in JOB_TERMINAL,
        dataset_name=dataset.name if dataset else None,
        done=progress_of(job),
        at_rest=job.state in AT_REST,
        results=results_plot.results(job.evaluations),
        missing=missing_queues(session, settings, _waits_for([job])),
        own=kinds.page_of(job.kind).shown(session, storage, row, job, dataset),
    )


@router.get("/jobs/{job_id}/result")
def read_result(
    job_id: str, request: Request, caller: Reader, session: ReadSession, storage: AppStorage
) -> Response:
    row = rows.get(session, Job, caller.owner, job_id)
    job = api.read_job(job_id, caller, session)
    if job.state != "succeeded":
        raise Conflict(f"{job_id} is {job.state}: it has a result once it has succeeded")
    files = {one.format: one for one in artifacts_of(session, row)}
    manifest = manifest_of(storage, files.get("manifest"))
    classes = manifest.get("classes", [])
    preview = files.get("preview")
    own = job.evaluations[0] if job.evaluations else None
    return render(
        request,
        "result.html",
        caller,
        job=job,
        dataset_name=names_of(session, caller.owner, [job]).get(job.dataset_id or ""),
        results=results_plot.results(job.evaluations),
        per_class=own.per_class if own and own.method == "condensed" else [],
        classes=classes,
        files=list(files.values()),
        preview=preview,
        drawn=PREVIEW_IMAGES,
        png=files.get("png"),
        strips=preview_strips.strips(storage, preview.blob_key, classes, PREVIEW_CLASSES) if preview else [],
        loading=manifest.get("how_to_load", {}),
    )


@router.post("/jobs/{job_id}/cancel")
def cancel(job_id: str, caller: Writer, session: WriteSession, storage: AppStorage) -> Response:
    cancel_job(session, storage, rows.get(session, Job, caller.owner, job_id))
    return RedirectResponse(f"/jobs/{job_id}", 303)


@router.post("/jobs/{job_id}/pause")
def pause(job_id: str, caller: Writer, session: WriteSession) -> Response:
    pause_job(session, rows.get(session, Job, caller.owner, job_id))
    return RedirectResponse(f"/jobs/{job_id}", 303)


@router.post("/jobs/{job_id}/resume")
def resume(job_id: str, caller: Writer, session: WriteSession) -> Response:
    resume_job(session, rows.get(session, Job, caller.owner, job_id))
    return RedirectResponse(f"/jobs/{job_id}", 303)


@router.post("/jobs/{job_id}/delete")
def remove(job_id: str, caller: Writer, session: WriteSession, storage: AppStorage) -> Response:
    delete_job(session, storage, rows.get(session, Job, caller.owner, job_id))
    return RedirectResponse("/jobs", 303)


def names_of(session: Session, owner: str, jobs: Iterable[JobOut]) -> dict[str, str]:
    """The names of their data sets, by id."""
    ids = {job.dataset_id for job in jobs if job.dataset_id}
    found = select(Dataset.id, Dataset.name).where(Dataset.owner == owner, Dataset.id.in_(ids))
    return dict(session.execute(found).all())


def _waits_for(jobs: Iterable[JobOut]) -> set[str]:
    """The queues whose workers have to get on with these jobs."""
    return {job.of_kind.phase(job.phase).queue for job in jobs if job.state not in (*JOB_TERMINAL, "paused")}
