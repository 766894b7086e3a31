"""The pages of jobs and of their results."""

import json
from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.deps import AppSettings, AppStorage, ReadSession, WriteSession
from api.pagination import After
from api.routes import jobs as api
from api.schemas.jobs import JobOut
from api.security import Reader, Writer
from api.web import figures
from api.web.accuracy_plot import accuracy_plot
from api.web.datasets import PREVIEW_CLASSES as REAL_CLASSES
from api.web.progress import AT_REST, progress_of
from api.web.rendering import render
from api.web.waiting import missing_queues
from core.catalogue import rows
from core.catalogue.artifacts import artifacts_of
from core.catalogue.snapshots import snapshots_of
from core.db.models import Artifact, Dataset, Job
from core.errors import Conflict
from core.jobs.control import cancel_job, delete_job, pause_job, resume_job
from core.jobs.results import loss_curve
from core.jobs.states import JOB_TERMINAL, PHASE_QUEUE
from core.storage import Storage

router = APIRouter(include_in_schema=False)

_ON_A_PAGE = 50
_POINTS_IN_WORDS = 20
#: Of the preview of a condensed set (core/export/preview.py).
PREVIEW_CLASSES = 100
PREVIEW_IMAGES = 10
#: Larger than any manifest that a worker writes; beyond it, how to load is read in the file itself.
_MAX_MANIFEST_BYTES = 4 << 20


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
    points = loss_curve(session, row, 0, 10_000)
    snapshots = snapshots_of(session, row)
    dataset = session.scalar(
        select(Dataset).where(Dataset.owner == caller.owner, Dataset.id == row.dataset_id)
    )
    classes = (dataset.manifest or {}).get("classes", []) if dataset else []
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
        results=figures.results(job.evaluations),
        plot=accuracy_plot([job]),
        evaluated_at=job.spec.evaluated_at(),
        points=_some(points),
        snapshots=snapshots,
        # Of a data set that was deleted, the names of the classes are not known any more.
        class_count=len(classes),
        drawn=PREVIEW_IMAGES,
        forming=figures.strips(storage, snapshots[-1].blob_key, classes or ["all"], PREVIEW_CLASSES)
        if snapshots
        else [],
        real=_real(storage, dataset, classes, job) if snapshots and dataset else [],
        has_curve=bool(points),
        missing=missing_queues(session, settings, _waits_for([job])),
    )


@router.get("/jobs/{job_id}/result")
def read_result(
    job_id: str, request: Request, caller: Reader, session: ReadSession, storage: AppStorage
) -> Response:
    row = rows.get(session, Job, caller.owner, job_id)
    job = api.read_job(job_id, caller, session)
    if job.state != "succeeded":
        raise Conflict(f"{job_id} is {job.state}: only a job that has succeeded has a result")
    files = {one.format: one for one in artifacts_of(session, row)}
    manifest = _manifest(storage, files.get("manifest"))
    classes = manifest.get("classes", [])
    preview = files.get("preview")
    own = job.evaluations[0] if job.evaluations else None
    return render(
        request,
        "result.html",
        caller,
        job=job,
        dataset_name=names_of(session, caller.owner, [job]).get(job.dataset_id or ""),
        results=figures.results(job.evaluations),
        per_class=own.per_class if own and own.method == "condensed" else [],
        classes=classes,
        files=list(files.values()),
        preview=preview,
        drawn=PREVIEW_IMAGES,
        png=files.get("png"),
        strips=figures.strips(storage, preview.blob_key, classes, PREVIEW_CLASSES) if preview else [],
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


def _real(storage: Storage, dataset: Dataset, classes: list[str], job: JobOut) -> list[figures.Strip]:
    found = figures.strips(storage, f"{dataset.blob_prefix}/preview.png", classes, REAL_CLASSES)
    return figures.beside(found, min(job.spec.ipc, PREVIEW_IMAGES))


def _waits_for(jobs: Iterable[JobOut]) -> set[str]:
    """The queues whose workers have to get on with these jobs."""
    return {PHASE_QUEUE[job.phase] for job in jobs if job.state not in (*JOB_TERMINAL, "paused")}


def _some(points: list[Any]) -> list[Any]:
    """For those who read the curve as a table: evenly spread, the last one always."""
    step = max(1, -(-len(points) // _POINTS_IN_WORDS))
    return points[::-1][::step][::-1]


def _manifest(storage: Storage, artifact: Artifact | None) -> dict[str, Any]:
    """Empty where there is none that can be read."""
    if artifact is None or artifact.size > _MAX_MANIFEST_BYTES:
        return {}
    try:
        found = json.loads(b"".join(storage.read(artifact.blob_key, 0, artifact.size)))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
