"""Labelled image sets, made from uploads or from paths on the server."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from api.deps import AppDatabase, AppSettings, AppStorage, IdempotencyKey, ReadSession, WriteSession
from api.events.history import AfterSeq, history_page
from api.events.stream import STREAM_RESPONSES, Admitted, EventStream, LastEventId, history_of
from api.pagination import After, Limit, Page, page_of
from api.problems import responses
from api.schemas.common import EventOut
from api.schemas.datasets import DatasetCreate, DatasetOut, ReportOut, UsualCostOut
from api.security import Reader, Writer
from api.server.downloads import send_blob
from core.catalogue import rows
from core.catalogue.datasets import create_dataset, delete_dataset
from core.db.models import Dataset
from core.errors import Conflict
from core.jobs.speed import recent_speeds, seconds_of
from core.kinds.condense.cost import usual_costs
from core.kinds.kind import DataFacts
from core.vocabulary import DATASET_TERMINAL

router = APIRouter(prefix="/v1/datasets", tags=["data sets"])


def _own_dataset(dataset_id: str, caller: Reader, session: ReadSession) -> Dataset:
    return rows.get(session, Dataset, caller.owner, dataset_id)


def _ready(session: Session, owner: str, dataset_id: str) -> Dataset:
    dataset = rows.get(session, Dataset, owner, dataset_id)
    if dataset.state != "ready":
        why = f" ({dataset.problem['detail']})" if dataset.problem else ""
        raise Conflict(f"{dataset.id} is {dataset.state}{why}: it has this once it is ready")
    return dataset


#: For streams: found before the answer starts, by a session that does not last as long as the stream.
OwnDataset = Annotated[Dataset, Depends(_own_dataset)]


@router.post(
    "", status_code=202, responses={200: {"model": DatasetOut}, **responses(400, 404, 409, 413, 415, 429)}
)
def create(
    body: DatasetCreate,
    response: Response,
    caller: Writer,
    session: WriteSession,
    settings: AppSettings,
    idempotency_key: IdempotencyKey = None,
) -> DatasetOut:
    """Detect the format, read, validate and convert an upload or a path, in a worker. Poll until `ready`."""
    dataset, new = create_dataset(
        session,
        caller.owner,
        upload_id=body.upload_id,
        path=body.path,
        name=body.name,
        license=body.license,
        image_size=body.image_size,
        channels=body.channels,
        seed=body.seed,
        idempotency_key=idempotency_key,
        settings=settings,
    )
    response.status_code = 202 if new else 200
    response.headers["Location"] = f"/v1/datasets/{dataset.id}"
    return DatasetOut.model_validate(dataset)


@router.get("", responses=responses())
def list_datasets(
    caller: Reader,
    session: ReadSession,
    state: Annotated[Literal["receiving", "ingesting", "ready", "invalid"] | None, Query()] = None,
    limit: Limit = 50,
    after: After = None,
) -> Page[DatasetOut]:
    """Newest first."""
    filters = [Dataset.state == state] if state else []
    found, more = rows.page(session, Dataset, caller.owner, *filters, limit=limit, after=after)
    return page_of([DatasetOut.model_validate(row) for row in found], more)


@router.get("/{dataset_id}", responses=responses(404))
def read_dataset(dataset_id: str, caller: Reader, session: ReadSession) -> DatasetOut:
    """The data set: once it is ready with its manifest, if it is invalid with the reason."""
    return DatasetOut.model_validate(rows.get(session, Dataset, caller.owner, dataset_id))


@router.get("/{dataset_id}/events", responses=responses(404))
def read_dataset_events(
    dataset_id: str,
    caller: Reader,
    session: ReadSession,
    limit: Limit = 100,
    after: AfterSeq = 0,
) -> Page[EventOut]:
    """Its history, oldest first."""
    rows.get(session, Dataset, caller.owner, dataset_id)
    return history_page(session, caller.owner, dataset_id, limit, after)


@router.get(
    "/{dataset_id}/events/stream", status_code=200, response_class=EventStream, responses=STREAM_RESPONSES
)
async def stream_dataset_events(
    dataset: OwnDataset,
    caller: Admitted,
    database: AppDatabase,
    request: Request,
    last_event_id: LastEventId = 0,
) -> EventStream:
    """Its history and then its future, live; after the last event, `end` with the data set itself.

    Each event's id is its `seq`; send the last one seen as `Last-Event-ID` to go on from there.
    """

    def final(_session: Session, now: Dataset) -> DatasetOut | None:
        return DatasetOut.model_validate(now) if now.state in DATASET_TERMINAL else None

    read = history_of(database, Dataset, dataset.owner, dataset.id, final)
    return EventStream(request, caller, dataset.id, last_event_id, DATASET_TERMINAL, read)


@router.get("/{dataset_id}/report", responses=responses(404, 409))
def read_report(dataset_id: str, caller: Reader, session: ReadSession) -> ReportOut:
    """The validation report, with what the usual jobs on this set will cost."""
    manifest = _ready(session, caller.owner, dataset_id).manifest or {}
    report = manifest.get("report", {})
    speeds = recent_speeds(session)
    costs = [
        UsualCostOut(
            recipe=spec.recipe,
            ipc=spec.ipc,
            iterations=spec.condense_config().iterations,
            pool_flops=one.flops_by_phase.get("pool", 0),
            condensation_flops=one.flops_by_phase["condense"],
            evaluation_flops=one.flops_by_phase["evaluate"],
            memory_bytes=one.memory_bytes,
            seconds=seconds_of(one, speeds),
        )
        for spec, one in usual_costs(DataFacts.of(manifest), report.get("suggestions", {}).get("ipc", [1]))
    ]
    facts = {name: manifest[name] for name in ReportOut.model_fields if name in manifest}
    return ReportOut(**facts, costs=costs, **report)


@router.get(
    "/{dataset_id}/preview",
    response_class=StreamingResponse,
    responses={200: {"content": {"image/png": {}}}, **responses(404, 409)},
)
def read_preview(
    dataset_id: str, request: Request, caller: Reader, session: ReadSession, storage: AppStorage
) -> Response:
    """A grid of training images, a row a class (PNG)."""
    dataset = _ready(session, caller.owner, dataset_id)
    key = f"{dataset.blob_prefix}/preview.png"
    # What a data set is made of never changes once it is ready.
    return send_blob(
        request, storage, key, etag=f'"{dataset.content_hash}"', media_type="image/png", headers={}
    )


@router.delete("/{dataset_id}", status_code=204, responses=responses(404, 409))
def remove_dataset(dataset_id: str, caller: Writer, session: WriteSession, storage: AppStorage) -> None:
    """Delete it with its files. Refused while an unfinished job needs it; finished jobs stay."""
    delete_dataset(session, storage, caller.owner, dataset_id)
