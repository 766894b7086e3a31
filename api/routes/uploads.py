"""Raw bytes in one request: `curl -T file …/v1/uploads`; and all uploads, however they came."""

from contextlib import ExitStack, suppress
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from api.deps import AppDatabase, AppSettings, AppStorage, ReadSession, not_draining
from api.pagination import After, Limit, Page, page_of
from api.problems import responses
from api.schemas.common import NO_CONTROLS
from api.schemas.uploads import UploadOut
from api.security import Reader, Writer
from api.server.streaming import OWN_LIMIT, check_digest, receive_body
from api.tus import protocol as tus
from core.catalogue import resumable, rows
from core.catalogue.blobs import file_key_of
from core.catalogue.uploads import create_upload, delete_upload
from core.catalogue.usage import admit_bytes, bytes_exceeded, room_of
from core.db.models import Upload
from core.db.session import Database
from core.errors import Gone, InvalidRequest, TooLarge
from core.failpoints import reach
from core.ids import new_id
from core.settings import Settings
from core.storage import Storage

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])


@router.put(
    "",
    status_code=201,
    max_body_size=OWN_LIMIT,
    dependencies=[Depends(not_draining)],
    responses=responses(400, 413, 429, 507),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary", "minLength": 1}}
            },
        }
    },
)
async def upload(
    request: Request,
    response: Response,
    caller: Writer,
    settings: AppSettings,
    storage: AppStorage,
    database: AppDatabase,
    file_name: Annotated[str | None, Query(min_length=1, max_length=255, pattern=NO_CONTROLS)] = None,
    content_digest: Annotated[
        str | None, Header(description="`sha-256=:<base64>:` (RFC 9530): the bytes must have this digest.")
    ] = None,
) -> UploadOut:
    """Store the body. It is streamed to disk, hashed on the way, and synced before the answer."""
    row = await _store(request, caller.owner, settings, storage, database, file_name, content_digest)
    response.headers["Location"] = f"/v1/uploads/{row.id}"
    return _out(row, settings, storage)


async def _store(
    request: Request,
    owner: str,
    settings: Settings,
    storage: Storage,
    database: Database,
    file_name: str | None,
    content_digest: str | None,
) -> Upload:
    announced = int(request.headers.get("content-length", 1))
    room = await run_in_threadpool(_admit, database, owner, announced, settings)
    limit, upload_id = settings.max_upload_bytes, new_id("up")
    with storage.receive() as receiver:
        try:
            await receive_body(request, receiver, limit if room is None else min(limit, room))
        except TooLarge as error:
            if room is None or room >= limit:
                raise
            # A body without an announced size.
            assert settings.owner_stored_bytes is not None
            stored = settings.owner_stored_bytes - room
            raise bytes_exceeded(stored, room + 1, settings.owner_stored_bytes) from error
        if receiver.size == 0:
            raise InvalidRequest("the upload is empty", code="empty_file")
        if not check_digest(content_digest, receiver):
            raise InvalidRequest(
                f"the SHA-256 is {receiver.sha256}, not the announced one: send the file again",
                code="digest_mismatch",
                sha256=receiver.sha256,
            )

        reach("upload.received")

        def keep() -> Upload:
            receiver.store(file_key_of(upload_id))
            reach("upload.stored")
            with database.writing() as session:
                try:
                    admit_bytes(session, owner, receiver.size, settings)
                    return create_upload(
                        session,
                        storage,
                        owner,
                        upload_id=upload_id,
                        sha256=receiver.sha256,
                        size=receiver.size,
                        file_name=file_name,
                    )
                except BaseException:
                    # Only here: whether a commit that failed took place nobody knows.
                    storage.delete(file_key_of(upload_id))
                    raise

        return await run_in_threadpool(keep)


def _admit(database: Database, owner: str, size: int, settings: Settings) -> int | None:
    """How many bytes there is room for, None for any number.

    Raises:
        QuotaExceeded: not for as many as these.
    """
    with database.reading() as session:
        admit_bytes(session, owner, size, settings)
        return room_of(session, owner, settings)


@router.get("", responses=responses())
def list_uploads(
    caller: Reader,
    session: ReadSession,
    settings: AppSettings,
    storage: AppStorage,
    limit: Limit = 50,
    after: After = None,
) -> Page[UploadOut]:
    """Newest first."""
    found, more = rows.page(session, Upload, caller.owner, limit=limit, after=after)
    return page_of([_out(row, settings, storage) for row in found], more)


@router.get("/{upload_id}", responses=responses(404))
def read_upload(
    upload_id: str, caller: Reader, session: ReadSession, settings: AppSettings, storage: AppStorage
) -> UploadOut:
    """Size and digest, or how much has come so far; the bytes themselves are not offered."""
    return _out(rows.get(session, Upload, caller.owner, upload_id), settings, storage)


@router.delete("/{upload_id}", status_code=204, responses=responses(404, 409, 412, 423))
def remove_upload(
    upload_id: str,
    caller: Writer,
    storage: AppStorage,
    database: AppDatabase,
    _version: tus.VersionIfGiven = None,
) -> None:
    """Delete the bytes, received so far or complete. Data sets that were made from them stay."""
    with database.reading() as session:
        receiving = rows.get(session, Upload, caller.owner, upload_id).sha256 is None
    with ExitStack() as stack:
        partial = None
        if receiving:
            with suppress(Gone):
                partial = stack.enter_context(storage.partial.lock(upload_id))
        with database.writing() as session:
            delete_upload(session, storage, caller.owner, upload_id)
        if partial is not None:
            partial.remove()


def _out(upload: Upload, settings: Settings, storage: Storage) -> UploadOut:
    return UploadOut.of(upload, resumable.progress(storage, upload, settings.upload_expiry_seconds))
