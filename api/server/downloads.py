"""Blobs to clients: the whole or a range, streamed from wherever they are stored."""

import re
from collections.abc import Mapping
from urllib.parse import quote

from fastapi.responses import Response, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from api.server.streaming import repr_digest
from api.server.zero_copy import ZERO_COPY
from core.db.models import Artifact
from core.errors import NotFound
from core.storage import Storage
from core.storage.local import LocalStorage

#: Bytes of a range have at most as many digits as the largest file could: `int` refuses thousands.
_RANGE = re.compile(r"(?P<first>\d{0,19})\s*-\s*(?P<last>\d{0,19})")


def send_artifact(request: Request, artifact: Artifact, storage: Storage) -> Response:
    """Never anything a browser would run."""
    name = quote(artifact.file_name)
    return send_blob(
        request,
        storage,
        artifact.blob_key,
        etag=f'"{artifact.sha256}"',
        media_type=artifact.media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"'
            if name == artifact.file_name
            else f"attachment; filename*=utf-8''{name}",
            "Repr-Digest": repr_digest(artifact.sha256),
            "Cache-Control": "private, max-age=31536000, immutable",
            "Content-Security-Policy": "sandbox; default-src 'none'",
        },
    )


def send_blob(
    request: Request, storage: Storage, key: str, *, etag: str, media_type: str, headers: Mapping[str, str]
) -> Response:
    """A blob, or what was asked for of it. `etag` is a strong one.

    Raises:
        HTTPException: 416, there is no such range; 400, it ends before it begins.
        NotFound: the blob was deleted after its row was read.
    """
    headers = {**headers, "ETag": etag}
    if _matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    try:
        size = storage.size(key)
    except FileNotFoundError as error:
        raise _deleted() from error
    # A part only of the same bytes: of others the whole, or a resumed download would be a mixture.
    same = request.headers.get("if-range", etag) == etag
    asked = _asked(request.headers.get("range"), size) if same else None
    start, stop = asked or (0, size)
    headers |= {"Accept-Ranges": "bytes", "Content-Length": str(stop - start)}
    if asked:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    status = 206 if asked else 200
    if request.method == "HEAD":
        return Response(None, status, headers, media_type)
    return _Part(storage, key, start, stop, status, headers, media_type)


class _Part(StreamingResponse):
    """The bytes [start, stop) of a blob: by the kernel if it is a file and the server can, else in pieces."""

    def __init__(
        self,
        storage: Storage,
        key: str,
        start: int,
        stop: int,
        status: int,
        headers: Mapping[str, str],
        media_type: str,
    ) -> None:
        super().__init__(storage.read(key, start, stop), status, headers, media_type)
        self._path = storage.path(key) if isinstance(storage, LocalStorage) else None
        self._start, self._count = start, stop - start

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._path is None or ZERO_COPY not in scope.get("extensions", {}):
            await super().__call__(scope, receive, send)
            return
        try:
            opened = await run_in_threadpool(self._path.open, "rb")
        except FileNotFoundError as error:
            raise _deleted() from error
        with opened as file:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            await send({"type": ZERO_COPY, "file": file, "offset": self._start, "count": self._count})


def _deleted() -> NotFound:
    return NotFound("these bytes were deleted a moment ago")


def _asked(header: str | None, size: int) -> tuple[int, int] | None:
    """The bytes [start, stop) that a `Range` header asks for; None is the whole.

    RFC 9110 lets a server ignore the header: we do if it asks for several ranges, or is not understood.
    """
    unit, _, spec = (header or "").partition("=")
    found = _RANGE.fullmatch(spec.strip())
    if unit.strip().lower() != "bytes" or found is None or not any(found.groups()):
        return None
    first, last = found["first"], found["last"]
    start = int(first) if first else max(size - int(last), 0)
    stop = min(int(last) + 1, size) if first and last else size
    if start >= size:
        raise HTTPException(
            416,
            f"the range {header} is outside the {size} bytes of the file",
            {"Content-Range": f"bytes */{size}"},
        )
    if start >= stop:
        raise HTTPException(400, f"the range {header} ends before it begins")
    return start, stop


def _matches(header: str | None, etag: str) -> bool:
    if header is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return "*" in tags or etag in tags
