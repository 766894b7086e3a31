"""Uploads that survive broken connections, servers that restart and clients that are killed, by tus 1.0."""

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path

from condensery.client import bodies
from condensery.client._async.requests import AsyncRequests, idempotency
from condensery.client.errors import (
    ApiError,
    ChecksumMismatch,
    CondenseryError,
    NothingToSend,
    UnexpectedAnswer,
)
from condensery.client.fields import Upload
from condensery.client.files import Progress, Sending
from condensery.client.packing import packed
from condensery.client.parsing import parse
from condensery.client.unfinished import Unfinished
from condensery.client.waiting import async_call

_TUS = {"Tus-Resumable": "1.0.0"}
#: The server reads the whole once more, and syncs it, before it answers the last byte.
_COMPLETION_SECONDS = 900.0
#: Refusals that say that the server has more or less than it was thought to have.
_MOVED = ("offset_mismatch", "upload_complete", "malformed", "body_too_slow")


async def upload_source(requests: AsyncRequests, source: Path, progress: Progress | None = None) -> Upload:
    """Send a file, or a folder as a zip. Raises as AsyncClient.upload."""
    with ExitStack() as stack:
        file, name = await async_call(stack.enter_context, packed(source))
        return await _upload(requests, file, name, progress)


async def _upload(requests: AsyncRequests, file: Path, name: str, progress: Progress | None) -> Upload:
    """Send a file, or the rest of it if it was begun before, by whatever process of this user.

    Args:
        name: what the server shall call it.

    Raises:
        ChecksumMismatch: the server got other bytes; they are deleted there.
        FileChanged: it is not what it was when the upload began.
        NothingToSend: the file is empty.
        ApiError, ConnectionFailed, UnexpectedAnswer
        OSError: the file cannot be read.
    """
    with file.open("rb") as stream:
        unfinished = Unfinished.of(requests.address, file)
        if unfinished.size == 0:
            raise NothingToSend(f"{file} is empty")
        sending = Sending(stream)
        path = unfinished.recall()
        offset = None if path is None else await _offset(requests, path)
        if path is None or offset is None:
            path, offset = await _begin(requests, name, unfinished.size), 0
            unfinished.remember(path)
        await _send(requests, path, sending, offset, unfinished, progress)
    found = parse(Upload, await requests.get(path))
    unfinished.forget()
    if found.sha256 != sending.sha256:
        await requests.delete(path)
        raise ChecksumMismatch(
            f"{file}: the server got the SHA-256 {found.sha256}, not {sending.sha256}; upload it again"
        )
    return found


async def _begin(requests: AsyncRequests, name: str, size: int) -> str:
    """The path of a new upload: one, though the answer may be lost."""
    metadata = f"filename {base64.b64encode(name.encode()).decode()}"
    headers = {**_TUS, **idempotency(), "Upload-Length": str(size), "Upload-Metadata": metadata}
    answer = await requests.answer("POST", "/v1/uploads", headers=headers, repeatable=True)
    # A proxy may have put another address before it.
    return f"/v1/uploads/{answer.headers['Location'].rpartition('/')[2]}"


async def _offset(requests: AsyncRequests, path: str) -> int | None:
    """How much the server has; None: it has forgotten the upload."""
    try:
        answer = await requests.answer("HEAD", path, headers=_TUS, repeatable=True)
    except UnexpectedAnswer as error:
        if error.status in (403, 404, 410):  # there is no more to it: an answer to HEAD has no body
            return None
        raise
    return int(answer.headers["Upload-Offset"])


async def _send(
    requests: AsyncRequests,
    path: str,
    sending: Sending,
    offset: int,
    unfinished: Unfinished,
    progress: Progress | None,
) -> None:
    """The bytes from `offset` to the end, over however many connections it takes."""
    size, tries = unfinished.size, requests.tries()
    sent = offset

    def report(more: int) -> None:
        nonlocal sent
        sent += more
        if progress is not None:
            progress(sent, size)

    while True:
        await async_call(sending.go_to, offset)
        report(offset - sent)
        if offset == size:
            return
        unfinished.check()
        headers = {
            **_TUS,
            "Upload-Offset": str(offset),
            "Content-Type": "application/offset+octet-stream",
            "Content-Length": str(size - offset),
        }
        body = _pieces(sending, size - offset, report)
        timeout = bodies.timeout(_COMPLETION_SECONDS)
        try:
            answer = await requests.send("PATCH", path, headers=headers, content=body, timeout=timeout)
        except CondenseryError as error:
            moved = isinstance(error, ApiError) and error.code in _MOVED
            await tries.again(error, (error.retry_after or 0.0) if moved else None)
            stands = await _offset(requests, path)
            if stands is None:
                raise
            if stands > offset:
                tries.progressed()
            offset = stands
        else:
            offset = int(answer.headers["Upload-Offset"])


async def _pieces(sending: Sending, count: int, report: Callable[[int], None]) -> AsyncIterator[bytes]:
    """The next `count` bytes, of which it is reported how many were taken."""
    pieces = sending.pieces(count)
    while (piece := await async_call(next, pieces, None)) is not None:
        yield piece
        report(len(piece))
