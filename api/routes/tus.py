"""Uploads that can be resumed, by tus 1.0: every tus client works."""

from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from api.deps import AppDatabase, AppSettings, AppStorage, IdempotencyKey, WriteSession, not_draining
from api.problems import responses
from api.schemas.uploads import UploadOut
from api.security import Reader, Writer
from api.server.streaming import OWN_LIMIT, receive_body
from api.tus import protocol as tus
from core.catalogue import resumable, rows
from core.catalogue.resumable import Progress
from core.catalogue.usage import admit_bytes
from core.db.models import Upload
from core.errors import ChecksumMismatch, InvalidRequest, TooLarge
from core.storage import Storage
from core.storage.disk import full_disk_is_named
from core.storage.partial import PartialFile

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])

_OFFSET = {"Upload-Offset": tus.header_of("Bytes received.")}
_EXPIRES = {"Upload-Expires": tus.header_of("When the upload is removed unless more comes.")}


def _answer(status: int, description: str, headers: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {status: {"description": description, "headers": headers}}


@router.options("", status_code=204, responses=responses())
def describe(response: Response, _caller: Reader, settings: AppSettings) -> None:
    """What of the protocol is spoken."""
    response.headers.update(
        {
            "Tus-Version": tus.VERSION,
            "Tus-Extension": ",".join(tus.EXTENSIONS),
            "Tus-Max-Size": str(settings.max_upload_bytes),
            "Tus-Checksum-Algorithm": ",".join(tus.ALGORITHMS),
        }
    )


@router.post(
    "",
    status_code=201,
    dependencies=[Depends(not_draining)],
    responses={200: {"model": UploadOut}}
    | responses(400, 409, 412, 413, 429, 507)
    | _answer(201, "Begun; nothing has come yet.", _EXPIRES),
)
def begin(
    response: Response,
    caller: Writer,
    _version: tus.Version,
    session: WriteSession,
    settings: AppSettings,
    storage: AppStorage,
    upload_length: Annotated[
        int, Header(ge=1, description="Bytes of the whole. Upload-Defer-Length is not supported.")
    ],
    upload_metadata: Annotated[
        str | None,
        Header(
            max_length=4096,
            json_schema_extra={"pattern": tus.METADATA_PATTERN},
            description="`filename <base64>,sha256 <base64>`: both optional; the bytes must have that "
            "digest, given in hexadecimal.",
        ),
    ] = None,
    idempotency_key: IdempotencyKey = None,
) -> UploadOut:
    """Begin a resumable upload, whose bytes are then sent by `PATCH` in as many pieces as you like."""
    if upload_length > settings.max_upload_bytes:
        raise TooLarge(
            f"the upload has {upload_length} bytes; the limit is {settings.max_upload_bytes}",
            limit=settings.max_upload_bytes,
            value=upload_length,
        )
    admit_bytes(session, caller.owner, upload_length, settings)
    file_name, sha256 = tus.parse_metadata(upload_metadata)
    with full_disk_is_named():
        upload, new = resumable.begin(
            session,
            storage,
            caller.owner,
            size=upload_length,
            file_name=file_name,
            sha256=sha256,
            tus_metadata=upload_metadata,
            idempotency_key=idempotency_key,
        )
    response.status_code = 201 if new else 200
    progress = resumable.progress(storage, upload, settings.upload_expiry_seconds)
    response.headers.update({"Location": f"/v1/uploads/{upload.id}", **tus.expires(progress.expires_at)})
    return UploadOut.of(upload, progress)


@router.head(
    "/{upload_id}",
    response_class=Response,
    responses=responses(404, 410, 412, 423)
    | _answer(200, "Where to go on.", {**_OFFSET, "Upload-Length": tus.header_of("Bytes of the whole.")}),
)
def read_offset(
    upload_id: str,
    caller: Writer,
    _version: tus.Version,
    settings: AppSettings,
    storage: AppStorage,
    database: AppDatabase,
) -> Response:
    """How much has come. An upload whose last byte came just before a crash is completed by this."""
    with database.reading() as session:
        upload = rows.get(session, Upload, caller.owner, upload_id)
    progress = _alive(upload, storage, settings)
    if upload.sha256 is None and progress.offset == upload.size:
        with suppress(InvalidRequest):  # not the announced bytes: they are to be sent again, from the first
            upload = resumable.complete_if_whole(database, storage, caller.owner, upload.id)
        progress = _alive(upload, storage, settings)
    headers = {"Upload-Offset": str(progress.offset), "Upload-Length": str(upload.size)}
    if upload.tus_metadata is not None:
        headers["Upload-Metadata"] = upload.tus_metadata
    return Response(headers={**headers, **tus.expires(progress.expires_at)})


@router.patch(
    "/{upload_id}",
    status_code=204,
    max_body_size=OWN_LIMIT,
    dependencies=[Depends(not_draining)],
    responses=responses(400, 404, 409, 410, 412, 413, 415, 423, 460, 507)
    | _answer(204, "All of it was taken.", {**_OFFSET, **_EXPIRES}),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {tus.MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def append(
    request: Request,
    response: Response,
    upload_id: str,
    caller: Writer,
    _version: tus.Version,
    settings: AppSettings,
    storage: AppStorage,
    database: AppDatabase,
    upload_offset: Annotated[int, Header(ge=0, description="Where the body begins.")],
    upload_checksum: Annotated[
        str | None,
        Header(
            description=f"`<algorithm> <base64>` of the body: {', '.join(tus.ALGORITHMS)}.",
            json_schema_extra={"pattern": tus.CHECKSUM_PATTERN},
        ),
    ] = None,
) -> None:
    """Append the body. Bytes are kept as they come, so a broken request loses none of them.

    With a checksum the body counts as a whole or not at all. The piece that makes the upload whole is
    answered once everything is checked and safely stored.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != tus.MEDIA_TYPE:
        raise HTTPException(415, f"send a piece of an upload with Content-Type: {tus.MEDIA_TYPE}")
    checksum = tus.Checksum(upload_checksum) if upload_checksum is not None else None

    def read() -> Upload:
        with database.reading() as session:
            return rows.get(session, Upload, caller.owner, upload_id)

    upload = await run_in_threadpool(read)
    resumable.require_incomplete(upload)
    _alive(upload, storage, settings)
    with storage.partial.lock(upload.id) as partial:

        def start() -> Upload:
            with database.writing() as session:
                return resumable.begin_piece(
                    session,
                    partial,
                    caller.owner,
                    upload.id,
                    offset=upload_offset,
                    checksum=checksum is not None,
                )

        upload = await run_in_threadpool(start)
        await _receive_piece(request, partial, upload, upload_offset, checksum)

        def end() -> Upload:
            accepted = upload
            if checksum is not None:
                with database.writing() as session:
                    accepted = resumable.accept_piece(session, caller.owner, upload.id)
            if partial.size < accepted.size:
                return accepted
            return resumable.complete(database, storage, partial, accepted)

        upload = await run_in_threadpool(end)
    progress = resumable.progress(storage, upload, settings.upload_expiry_seconds)
    response.headers.update({"Upload-Offset": str(progress.offset), **tus.expires(progress.expires_at)})


async def _receive_piece(
    request: Request,
    partial: PartialFile,
    upload: Upload,
    offset: int,
    checksum: tus.Checksum | None,
) -> None:
    """The body into the partial file.

    Raises:
        ChecksumMismatch, TooLarge: nothing of the body is kept.
        Malformed, BodyTooSlow, StorageFull: it broke off. What came is kept, unless it had a checksum.
    """
    rest = upload.size - offset
    try:
        with full_disk_is_named("go on when there is room again"):
            await receive_body(request, tus.Piece(partial, checksum), rest)
        if checksum is not None and not checksum.matches:
            raise ChecksumMismatch(
                f"the {checksum.algorithm} of the body is not the announced one; nothing of it was kept",
                offset=offset,
            )
    except BaseException as error:
        if checksum is not None or isinstance(error, TooLarge):
            partial.cut(offset)
        if isinstance(error, TooLarge):
            raise TooLarge(
                f"the body is longer than the {rest} bytes that {upload.id} still needs", limit=rest
            ) from error
        raise


def _alive(upload: Upload, storage: Storage, settings: AppSettings) -> Progress:
    progress = resumable.progress(storage, upload, settings.upload_expiry_seconds)
    progress.require_alive(upload)
    return progress
