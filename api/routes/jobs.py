"""Work of every kind."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from api.deps import AppDatabase, AppSettings, AppStorage, IdempotencyKey, ReadSession, WriteSession
from api.events.history import AfterSeq, history_page
from api.events.stream import STREAM_RESPONSES, Admitted, EventStream, LastEventId, history_of
from api.pagination import After, IdFilter, Limit, Page, page_of
from api.problems import responses
from api.schemas.artifacts import ArtifactOut
from api.schemas.common import EventOut
from api.schemas.jobs import (
    AccuracyOut,
    CostOut,
    EvaluationOut,
    JobCheck,
    JobCheckOut,
    JobCreate,
    JobOut,
    JobState,
    KindName,
    MetricOut,
    SnapshotOut,
    asked,
)
from api.security import Reader, Writer
from api.server.downloads import send_blob
from core.catalogue import rows
from core.catalogue.artifacts import artifacts_of
from core.db.models import Dataset, Job
from core.jobs.control import cancel_job, delete_job, pause_job, resume_job
from core.jobs.curves import curve
from core.jobs.snapshots import snapshot_of, snapshots_of
from core.jobs.speed import recent_speeds, seconds_of
from core.jobs.submission import create_job, fit
from core.trials.results import CURVE, FINAL, accuracy_curve, done_trials, summarise
from core.vocabulary import JOB_TERMINAL

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


def _own_job(job_id: str, caller: Reader, session: ReadSession) -> Job:
    return rows.get(session, Job, caller.owner, job_id)


#: For streams: found before the answer starts, by a session that does not last as long as the stream.
OwnJob = Annotated[Job, Depends(_own_job)]


@router.post(
    "", status_code=202, responses={200: {"model": JobOut}, **responses(400, 404, 409, 413, 415, 429)}
)
def create(
    body: JobCreate,
    response: Response,
    caller: Writer,
    session: WriteSession,
    settings: AppSettings,
    idempotency_key: IdempotencyKey = None,
) -> JobOut:
    """Queue a job on a data set that is ready: of the kind `condense`, unless the body names another."""
    job, new = create_job(
        session, caller.owner, asked(body), settings=settings, idempotency_key=idempotency_key
    )
    response.status_code = 202 if new else 200
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return _full(session, job)


@router.post("/validate", responses=responses(400, 404, 409, 413, 415))
def validate(body: JobCheck, caller: Reader, session: ReadSession, settings: AppSettings) -> JobCheckOut:
    """What a POST would answer: the resolved spec and its cost, or the problem. Makes nothing.

    Without `dataset_id`, before there is one, only what depends on no data is checked.
    """
    wanted = asked(body)
    kind = wanted.kind
    if getattr(body, "dataset_id", None) is None:
        return JobCheckOut(kind=kind.name, label=kind.label(wanted.spec), spec=wanted.spec, cost=None)
    dataset = rows.get(session, Dataset, caller.owner, wanted.dataset_id)
    fitted = fit(session, caller.owner, wanted, dataset, settings)
    cost = CostOut.of(fitted.cost, seconds_of(fitted.cost, recent_speeds(session)))
    return JobCheckOut(kind=kind.name, label=kind.label(fitted.spec), spec=fitted.spec, cost=cost)


@router.get("", responses=responses())
def list_jobs(
    caller: Reader,
    session: ReadSession,
    state: Annotated[JobState | None, Query()] = None,
    kind: Annotated[KindName | None, Query()] = None,
    dataset_id: IdFilter = None,
    limit: Limit = 50,
    after: After = None,
) -> Page[JobOut]:
    """Newest first. `evaluations` and `accuracies` are left empty here: read a job for them."""
    filters = [Job.state == state] if state else []
    if kind:
        filters.append(Job.kind == kind)
    if dataset_id:
        filters.append(Job.dataset_id == dataset_id)
    found, more = rows.page(session, Job, caller.owner, *filters, limit=limit, after=after)
    return page_of(JobOut.of(session, found), more)


@router.get("/{job_id}", responses=responses(404))
def read_job(job_id: str, caller: Reader, session: ReadSession) -> JobOut:
    """The job, with what its evaluation has found so far."""
    return _full(session, rows.get(session, Job, caller.owner, job_id))


@router.post("/{job_id}/cancel", status_code=202, responses=responses(404, 409))
def cancel(job_id: str, caller: Writer, session: WriteSession, storage: AppStorage) -> JobOut:
    """Stop: at once while it waits, within a step while it runs."""
    return _full(session, cancel_job(session, storage, rows.get(session, Job, caller.owner, job_id)))


@router.post("/{job_id}/pause", status_code=202, responses=responses(404, 409))
def pause(job_id: str, caller: Writer, session: WriteSession) -> JobOut:
    """Save its state and free the device, until it is resumed."""
    return _full(session, pause_job(session, rows.get(session, Job, caller.owner, job_id)))


@router.post("/{job_id}/resume", status_code=202, responses=responses(404, 409))
def resume(job_id: str, caller: Writer, session: WriteSession) -> JobOut:
    """Queue a paused job again: it goes on from where it was."""
    return _full(session, resume_job(session, rows.get(session, Job, caller.owner, job_id)))


@router.delete("/{job_id}", status_code=204, responses=responses(404, 409))
def remove(job_id: str, caller: Writer, session: WriteSession, storage: AppStorage) -> None:
    """Delete a job that has ended, with its events, metrics, snapshots and artifacts."""
    delete_job(session, storage, rows.get(session, Job, caller.owner, job_id))


@router.get("/{job_id}/events", responses=responses(404))
def read_job_events(
    job_id: str,
    caller: Reader,
    session: ReadSession,
    limit: Limit = 100,
    after: AfterSeq = 0,
) -> Page[EventOut]:
    """Its history, oldest first."""
    rows.get(session, Job, caller.owner, job_id)
    return history_page(session, caller.owner, job_id, limit, after)


@router.get(
    "/{job_id}/events/stream", status_code=200, response_class=EventStream, responses=STREAM_RESPONSES
)
async def stream_job_events(
    job: OwnJob, caller: Admitted, database: AppDatabase, request: Request, last_event_id: LastEventId = 0
) -> EventStream:
    """Its history and then its future, live; after the last event, `end` with the job itself.

    Each event's id is its `seq`; send the last one seen as `Last-Event-ID` to go on from there.
    """

    def final(session: Session, now: Job) -> JobOut | None:
        return _full(session, now) if now.state in JOB_TERMINAL else None

    read = history_of(database, Job, job.owner, job.id, final)
    return EventStream(request, caller, job.id, last_event_id, JOB_TERMINAL, read)


@router.get("/{job_id}/metrics", responses=responses(404))
def read_metrics(
    job_id: str,
    caller: Reader,
    session: ReadSession,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    after: Annotated[int, Query(ge=0, lt=2**31)] = 0,
) -> Page[MetricOut]:
    """The loss curve, by iteration."""
    job = rows.get(session, Job, caller.owner, job_id)
    found = curve(session, job, "loss", after, limit + 1)
    points = [MetricOut.model_validate(point) for point in found[:limit]]
    return page_of(points, len(found) > limit, key="iteration")


@router.get("/{job_id}/snapshots", responses=responses(404))
def read_snapshots(job_id: str, caller: Reader, session: ReadSession) -> Page[SnapshotOut]:
    """Pictures of the images while they form, by iteration; the first shows those to start from."""
    job = rows.get(session, Job, caller.owner, job_id)
    return page_of([SnapshotOut.model_validate(row) for row in snapshots_of(session, job)], False)


@router.get(
    "/{job_id}/snapshots/{iteration}",
    response_class=StreamingResponse,
    responses={200: {"content": {"image/png": {}}}, **responses(404)},
)
def read_snapshot(
    job_id: str,
    iteration: Annotated[int, Path(ge=0, lt=2**31)],
    request: Request,
    caller: Reader,
    session: ReadSession,
    storage: AppStorage,
) -> Response:
    """A grid of the synthetic images after so many iterations, a row a class (PNG)."""
    snapshot = snapshot_of(session, rows.get(session, Job, caller.owner, job_id), iteration)
    # Another attempt may show the same iteration again.
    headers = {"Cache-Control": "private, no-cache"}
    return send_blob(
        request, storage, snapshot.blob_key,
        etag=f'"{snapshot.sha256}"', media_type="image/png", headers=headers,
    )  # fmt: skip


@router.get("/{job_id}/artifacts", responses=responses(404))
def read_job_artifacts(job_id: str, caller: Reader, session: ReadSession) -> Page[ArtifactOut]:
    """The files that it offers; none until it has succeeded."""
    job = rows.get(session, Job, caller.owner, job_id)
    return page_of([ArtifactOut.model_validate(row) for row in artifacts_of(session, job)], False)


def _full(session: Session, job: Job) -> JobOut:
    (answer,) = JobOut.of(session, [job])
    found: dict[str, object] = {}
    points = accuracy_curve(done_trials(session, job, CURVE))
    found["accuracies"] = [AccuracyOut(**one) for one in points]
    networks = [one.label() for one in answer.plan.networks]
    evaluations = summarise(networks, done_trials(session, job, FINAL))
    found["evaluations"] = [EvaluationOut(**one) for one in evaluations]
    return answer.model_copy(update=found)
