"""Raw bytes: `curl -T file …/v1/uploads`."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from api.deps import AppSettings, ReadSession, Storage, WriteSession
from api.pagination import After, Limit, Page, page_of
from api.problems import responses
from api.schemas.common import NO_CONTROLS
from api.schemas.uploads import UploadOut
from api.security import Reader, Writer
from api.streaming import check_digest, receive_body
from core.catalogue import rows
from core.catalogue.uploads import blob_key, create_upload, delete_upload
from core.db.models import Upload
from core.db.session import Database
from core.errors import InvalidRequest
from core.ids import new_id
from core.settings import Settings
from core.storage.local import LocalStorage

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])

#: The app's limit is for JSON; the handler keeps the upload's own, and can name it.
_OWN_LIMIT = 1 << 62


@router.put(
    "",
    status_code=201,
    max_body_size=_OWN_LIMIT,
    responses=responses(400, 413, 507),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def upload(
    request: Request,
    response: Response,
    caller: Writer,
    settings: AppSettings,
    storage: Storage,
    file_name: Annotated[str | None, Query(min_length=1, max_length=255, pattern=NO_CONTROLS)] = None,
    content_digest: Annotated[
        str | None, Header(description="`sha-256=:<base64>:` (RFC 9530): the bytes must have this digest.")
    ] = None,
) -> UploadOut:
    """Store the body. It is streamed to disk, hashed on the way, and synced before the answer."""
    row = await _store(request, caller.owner, settings, storage, file_name, content_digest)
    response.headers["Location"] = f"/v1/uploads/{row.id}"
    return UploadOut.model_validate(row)


async def _store(
    request: Request,
    owner: str,
    settings: Settings,
    storage: LocalStorage,
    file_name: str | None,
    content_digest: str | None,
) -> Upload:
    database: Database = request.app.state.database
    upload_id = new_id("up")
    with storage.receive() as receiver:
        await receive_body(request, receiver, settings.max_upload_bytes, settings.upload_idle_seconds)
        if receiver.size == 0:
            raise InvalidRequest("the upload is empty", code="empty_file")
        if not check_digest(content_digest, receiver):
            raise InvalidRequest(
                f"the bytes have the SHA-256 {receiver.sha256}, not the announced one",
                code="digest_mismatch",
                sha256=receiver.sha256,
            )

        def keep() -> Upload:
            receiver.store(blob_key(upload_id))
            try:
                with database.writing() as session:
                    return create_upload(
                        session,
                        owner,
                        upload_id=upload_id,
                        sha256=receiver.sha256,
                        size=receiver.size,
                        file_name=file_name,
                    )
            except BaseException:
                storage.delete(blob_key(upload_id))
                raise

        return await run_in_threadpool(keep)


@router.get("", responses=responses())
def list_uploads(
    caller: Reader, session: ReadSession, limit: Limit = 50, after: After = None
) -> Page[UploadOut]:
    """Newest first."""
    found, more = rows.page(session, Upload, caller.owner, limit=limit, after=after)
    return page_of([UploadOut.model_validate(row) for row in found], more)


@router.get("/{upload_id}", responses=responses(404))
def read_upload(upload_id: str, caller: Reader, session: ReadSession) -> UploadOut:
    """Size and digest; the bytes themselves are not offered."""
    return UploadOut.model_validate(rows.get(session, Upload, caller.owner, upload_id))


@router.delete("/{upload_id}", status_code=204, responses=responses(404, 409))
def remove_upload(upload_id: str, caller: Writer, session: WriteSession, storage: Storage) -> None:
    """Delete the bytes. Data sets that were made from them stay."""
    delete_upload(session, storage, caller.owner, upload_id)
