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
from api.web.datasets import is_no_worker
from api.web.rendering import render
from core.catalogue import rows
from core.catalogue.artifacts import artifacts_of
from core.catalogue.snapshots import snapshots_of
from core.db.models import Artifact, Dataset, Job
from core.errors import Conflict
from core.jobs.control import cancel_job, delete_job, pause_job, resume_job
from core.jobs.results import loss_curve
from core.jobs.states import JOB_TERMINAL
from core.storage import Storage

router = APIRouter(include_in_schema=False)

_ON_A_PAGE = 50
_POINTS_IN_WORDS = 20
#: Of the preview of a condensed set (core/export/preview.py).
PREVIEW_CLASSES = 100
#: Larger than any manifest that a worker writes; beyond it, how to load is read in the file itself.
_MAX_MANIFEST_BYTES = 4 << 20


@router.get("/jobs")
def list_jobs(
    request: Request, caller: Reader, session: ReadSession, settings: AppSettings, after: After = None
) -> Response:
    page = api.list_jobs(caller, session, limit=_ON_A_PAGE, after=after)
    waiting = any(one.state not in (*JOB_TERMINAL, "paused") for one in page.data)
    return render(
        request,
        "jobs.html",
        caller,
        page=page,
        first=after is None,
        names=names_of(session, caller.owner, page.data),
        no_worker=waiting and is_no_worker(session, settings),
    )


@router.get("/jobs/{job_id}")
def read_job(
    job_id: str, request: Request, caller: Reader, session: ReadSession, settings: AppSettings
) -> Response:
    row = rows.get(session, Job, caller.owner, job_id)
    job = api.read_job(job_id, caller, session)
    points = loss_curve(session, row, 0, 10_000)
    waits = job.state not in (*JOB_TERMINAL, "paused")
    return render(
        request,
        "job.html",
        caller,
        job=job,
        seq=row.event_seq,
        ended=job.state in JOB_TERMINAL,
        dataset_name=names_of(session, caller.owner, [job]).get(job.dataset_id or ""),
        done=progress_of(job),
        results=figures.results(job.evaluations),
        plot=accuracy_plot([job]),
        evaluated_at=job.spec.evaluated_at(),
        points=_some(points),
        snapshots=snapshots_of(session, row),
        has_curve=bool(points),
        no_worker=waits and is_no_worker(session, settings),
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


def progress_of(job: JobOut) -> dict[str, Any]:
    """How far the job is: `value` of `most` in its phase, in `text`, and the seconds left if they are known.

    The progress event may be of the phase before: then nothing is known of this one yet.
    """
    told = job.progress or {}
    if told.get("phase") != job.phase:
        told = {}
    if job.phase == "condense":
        most = job.spec.iterations or 1
        text = f"iteration {job.iteration:,} of {most:,}"
        if now := told.get("evaluating"):
            text += (
                f"; now evaluating its images: network {now['network']:,} of {now['networks']:,}, "
                f"epoch {now['epoch']:,} of {now['epochs']:,}"
            )
        return {"value": job.iteration, "most": most, "text": text, "left": told.get("seconds_left")}
    if job.phase == "evaluate":
        methods = 2 + sum(one != "whole" for one in job.spec.evaluation.baselines)
        networks = job.spec.evaluation.networks
        most = networks * (
            methods * len(job.spec.architectures()) + ("whole" in job.spec.evaluation.baselines)
        )
        done = sum(one.n for one in job.evaluations)
        text = f"{done} of {most} networks trained and tested"
        if told and told.get("epochs"):
            done_now = told["epoch"] / told["epochs"]
            text += f"; now {told.get('method', '')}, epoch {told['epoch']:,} of {told['epochs']:,}"
            return {"value": min(done + done_now, most), "most": most, "text": text, "left": None}
        return {"value": done, "most": most, "text": text, "left": None}
    return {"value": 1, "most": 1, "text": "writing the files", "left": None}


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
