"""Condensed sets: made by jobs, read from uploads, merged of others."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from api.deps import AppDatabase, AppSettings, AppStorage, IdempotencyKey, ReadSession, WriteSession
from api.events.history import AfterSeq, history_page
from api.events.stream import STREAM_RESPONSES, Admitted, EventStream, LastEventId, history_of
from api.pagination import After, IdFilter, Limit, Page, page_of
from api.problems import responses
from api.schemas.artifacts import ArtifactOut
from api.schemas.common import EventOut
from api.schemas.condensed_sets import CondensedSetCreate, CondensedSetMerge, CondensedSetOut, SetState
from api.security import Reader, Writer
from api.server.downloads import send_blob
from core.catalogue import rows
from core.condensed.rows import (
    artifact_of_set,
    artifacts_of_set,
    create_from_upload,
    create_merge,
    delete_condensed_set,
)
from core.db.models import CondensedSet
from core.errors import Conflict
from core.vocabulary import CONDENSED_SET_TERMINAL

router = APIRouter(prefix="/v1/condensed-sets", tags=["condensed sets"])


def _own_set(condensed_set_id: str, caller: Reader, session: ReadSession) -> CondensedSet:
    return rows.get(session, CondensedSet, caller.owner, condensed_set_id)


#: For streams: found before the answer starts, by a session that does not last as long as the stream.
OwnSet = Annotated[CondensedSet, Depends(_own_set)]


def _answer(response: Response, row: CondensedSet, new: bool) -> CondensedSetOut:
    response.status_code = 202 if new else 200
    response.headers["Location"] = f"/v1/condensed-sets/{row.id}"
    return CondensedSetOut.model_validate(row)


@router.post(
    "",
    status_code=202,
    responses={200: {"model": CondensedSetOut}, **responses(400, 404, 409, 413, 415, 429)},
)
def create(
    body: CondensedSetCreate,
    response: Response,
    caller: Writer,
    session: WriteSession,
    settings: AppSettings,
    idempotency_key: IdempotencyKey = None,
) -> CondensedSetOut:
    """Recognise and read a condensed set that was made elsewhere, in a worker. Poll until `ready`.

    What its files leave open is asked for: it ends `invalid` with the code `condensed_set_unclear`, and a
    new request with `stated` answers.
    """
    row, new = create_from_upload(
        session,
        caller.owner,
        upload_id=body.upload_id,
        name=body.name,
        license=body.license,
        dataset_id=body.dataset_id,
        stated=body.stated.model_dump(exclude_defaults=True),
        idempotency_key=idempotency_key,
        settings=settings,
    )
    return _answer(response, row, new)


@router.post(
    "/merge",
    status_code=202,
    responses={200: {"model": CondensedSetOut}, **responses(400, 404, 409, 413, 415, 429)},
)
def merge(
    body: CondensedSetMerge,
    response: Response,
    caller: Writer,
    session: WriteSession,
    settings: AppSettings,
    idempotency_key: IdempotencyKey = None,
) -> CondensedSetOut:
    """Make one set of several, in a worker: other classes are added, the same classes get more images."""
    row, new = create_merge(
        session,
        caller.owner,
        condensed_set_ids=body.condensed_set_ids,
        name=body.name,
        idempotency_key=idempotency_key,
        settings=settings,
    )
    return _answer(response, row, new)


@router.get("", responses=responses())
def list_condensed_sets(
    caller: Reader,
    session: ReadSession,
    state: Annotated[SetState | None, Query()] = None,
    job_id: IdFilter = None,
    limit: Limit = 50,
    after: After = None,
) -> Page[CondensedSetOut]:
    """Newest first, of all jobs and uploads or of one job."""
    filters = [CondensedSet.state == state] if state else []
    if job_id:
        filters.append(CondensedSet.job_id == job_id)
    found, more = rows.page(session, CondensedSet, caller.owner, *filters, limit=limit, after=after)
    return page_of([CondensedSetOut.model_validate(row) for row in found], more)


@router.get("/{condensed_set_id}", responses=responses(404))
def read_condensed_set(condensed_set_id: str, caller: Reader, session: ReadSession) -> CondensedSetOut:
    """The set: once it is ready with its facts, if it is invalid with the reason."""
    return CondensedSetOut.model_validate(rows.get(session, CondensedSet, caller.owner, condensed_set_id))


@router.delete("/{condensed_set_id}", status_code=204, responses=responses(404, 409))
def remove_condensed_set(
    condensed_set_id: str, caller: Writer, session: WriteSession, storage: AppStorage
) -> None:
    """Delete it with its artifacts. Refused while an unfinished job or merge needs it; its job stays."""
    delete_condensed_set(session, storage, caller.owner, condensed_set_id)


@router.get("/{condensed_set_id}/artifacts", responses=responses(404))
def read_set_artifacts(condensed_set_id: str, caller: Reader, session: ReadSession) -> Page[ArtifactOut]:
    """The files that it offers, one a format; none until it is ready."""
    row = rows.get(session, CondensedSet, caller.owner, condensed_set_id)
    return page_of([ArtifactOut.model_validate(one) for one in artifacts_of_set(session, row)], False)


@router.get(
    "/{condensed_set_id}/preview",
    response_class=StreamingResponse,
    responses={200: {"content": {"image/png": {}}}, **responses(404, 409)},
)
def read_set_preview(
    condensed_set_id: str, request: Request, caller: Reader, session: ReadSession, storage: AppStorage
) -> Response:
    """A grid of its images, a row a class (PNG)."""
    row = rows.get(session, CondensedSet, caller.owner, condensed_set_id)
    preview = artifact_of_set(session, row.id, "preview")
    if preview is None:
        why = f" ({row.problem['detail']})" if row.problem else ""
        raise Conflict(f"{row.id} is {row.state}{why}: it has a preview once it is ready")
    return send_blob(
        request, storage, preview.blob_key, etag=f'"{preview.sha256}"', media_type="image/png", headers={}
    )


@router.get("/{condensed_set_id}/events", responses=responses(404))
def read_set_events(
    condensed_set_id: str,
    caller: Reader,
    session: ReadSession,
    limit: Limit = 100,
    after: AfterSeq = 0,
) -> Page[EventOut]:
    """Its history, oldest first; that of a set that a job has made is the job's."""
    rows.get(session, CondensedSet, caller.owner, condensed_set_id)
    return history_page(session, caller.owner, condensed_set_id, limit, after)


@router.get(
    "/{condensed_set_id}/events/stream",
    status_code=200,
    response_class=EventStream,
    responses=STREAM_RESPONSES,
)
async def stream_set_events(
    row: OwnSet,
    caller: Admitted,
    database: AppDatabase,
    request: Request,
    last_event_id: LastEventId = 0,
) -> EventStream:
    """Its history and then its future, live; after the last event, `end` with the set itself.

    Each event's id is its `seq`; send the last one seen as `Last-Event-ID` to go on from there.
    """

    def final(_session: Session, now: CondensedSet) -> CondensedSetOut | None:
        return CondensedSetOut.model_validate(now) if now.state in CONDENSED_SET_TERMINAL else None

    read = history_of(database, CondensedSet, row.owner, row.id, final)
    return EventStream(request, caller, row.id, last_event_id, CONDENSED_SET_TERMINAL, read)
