"""Uploads that survive broken connections, servers that restart and clients that are killed, by tus 1.0."""

import base64
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import httpx2

from condensery.client.effects import Operation, Send
from condensery.client.errors import (
    ApiError,
    ChecksumMismatch,
    CondenseryError,
    FileChanged,
    NothingToSend,
    UnexpectedAnswer,
)
from condensery.client.fields import Upload, parse
from condensery.client.requests import Requests, idempotency, refusal, retry_after
from condensery.client.unfinished import Unfinished

#: Bytes that the server has, bytes of the whole.
Progress = Callable[[int, int], None]
_PIECE = 1 << 20
_TUS = {"Tus-Resumable": "1.0.0"}
#: The server reads the whole once more, and syncs it, before it answers the last byte.
_COMPLETION_SECONDS = 900.0


def upload(requests: Requests, file: Path, name: str, progress: Progress | None = None) -> Operation[Upload]:
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
        reading = _Reading(stream)
        path = unfinished.recall()
        offset = None if path is None else (yield from _offset(requests, path))
        if path is None or offset is None:
            path, offset = (yield from _begin(requests, name, unfinished.size)), 0
            unfinished.remember(path)
        yield from _send(requests, path, reading, offset, unfinished, progress)
    body = yield from requests.get(path)
    found = parse(Upload, body)
    unfinished.forget()
    if found.sha256 != reading.sha256:
        yield from requests.delete(path)
        raise ChecksumMismatch(
            f"{file}: the server got the SHA-256 {found.sha256}, not {reading.sha256}; upload it again"
        )
    return found


def _begin(requests: Requests, name: str, size: int) -> Operation[str]:
    """The path of a new upload: one, though the answer may be lost."""
    metadata = f"filename {base64.b64encode(name.encode()).decode()}"
    headers = {**_TUS, **idempotency(), "Upload-Length": str(size), "Upload-Metadata": metadata}
    begin = Send(method="POST", path="/v1/uploads", headers=headers)
    answer = yield from requests.answer(begin, repeatable=True)
    # A proxy may have put another address before it.
    return f"/v1/uploads/{answer.headers['Location'].rpartition('/')[2]}"


def _offset(requests: Requests, path: str) -> Operation[int | None]:
    """How much the server has; None: it has forgotten the upload."""
    try:
        answer = yield from requests.answer(Send(method="HEAD", path=path, headers=_TUS), repeatable=True)
    except UnexpectedAnswer as error:
        if error.status in (403, 404, 410):  # there is no more to it: an answer to HEAD has no body
            return None
        raise
    return int(answer.headers["Upload-Offset"])


def _send(
    requests: Requests,
    path: str,
    reading: "_Reading",
    offset: int,
    unfinished: Unfinished,
    progress: Progress | None,
) -> Operation[None]:
    """The bytes from `offset` to the end, over however many connections it takes."""
    size, tries = unfinished.size, requests.tries()
    sent = offset

    def tell(more: int) -> None:
        nonlocal sent
        sent += more
        if progress is not None:
            progress(sent, size)

    while True:
        reading.go_to(offset)
        tell(offset - sent)
        if offset == size:
            return
        unfinished.check()
        headers = {
            **_TUS,
            "Upload-Offset": str(offset),
            "Content-Type": "application/offset+octet-stream",
            "Content-Length": str(size - offset),
        }
        failure: CondenseryError
        wait = 0.0
        try:
            answer: httpx2.Response = yield Send(
                method="PATCH",
                path=path,
                headers=headers,
                body=reading.pieces(size - offset),
                told=tell,
                read_seconds=_COMPLETION_SECONDS,
            )
        except httpx2.TransportError as error:
            failure = requests.unreachable(error)
        else:
            if answer.is_success:
                offset = int(answer.headers["Upload-Offset"])
                continue
            failure = refusal(answer)
            again = retry_after(answer, failure)
            moved = isinstance(failure, ApiError) and failure.code in (
                "offset_mismatch", "upload_complete", "malformed", "body_too_slow",
            )  # fmt: skip
            if again is None and not moved:
                raise failure
            wait = again or 0.0
        yield from tries.again(failure, wait)
        stands = yield from _offset(requests, path)
        if stands is None:
            raise failure
        if stands > offset:
            tries.progressed()
        offset = stands


class _Reading:
    """The file as it is sent, and the digest of all that was read of it, each byte once and in order."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self._hashed = 0

    def go_to(self, offset: int) -> None:
        """What lies before, and was sent by an earlier process, is hashed now."""
        self._stream.seek(self._hashed)
        while self._hashed < offset:
            self._read(min(_PIECE, offset - self._hashed))
        self._stream.seek(offset)

    def pieces(self, count: int) -> Iterator[bytes]:
        """The next `count` bytes."""
        while count:
            piece = self._read(min(_PIECE, count))
            count -= len(piece)
            yield piece

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def _read(self, most: int) -> bytes:
        at = self._stream.tell()
        piece = self._stream.read(most)
        if not piece:
            raise FileChanged(f"{self._stream.name} ends at byte {at}: it became shorter during its upload")
        new = piece[max(0, self._hashed - at) :]
        self._hash.update(new)
        self._hashed += len(new)
        return piece
