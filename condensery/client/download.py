"""Downloads that go on where they broke off, are checked, and appear whole or not at all."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import httpx2

from condensery.client.effects import Next, Open, Operation
from condensery.client.errors import ChecksumMismatch, UnexpectedAnswer
from condensery.client.fields import ArtifactFields
from condensery.client.requests import Requests, refusal, retry_after

#: Bytes that are there, bytes of the whole.
Progress = Callable[[int, int], None]
_PIECE = 1 << 20


def download(
    requests: Requests, artifact: ArtifactFields, target: Path, progress: Progress | None = None
) -> Operation[Path]:
    """Save an artifact's content as `target`, or under its own name in the folder `target`.

    It is received into a file beside it, named for its digest, so that what is gone on from is of the same
    bytes. A target that is there already is replaced.

    Raises:
        ChecksumMismatch, ApiError, UnexpectedAnswer, ConnectionFailed
        OSError: the target cannot be written.
    """
    if target.is_dir():
        target /= Path(artifact.file_name).name
    partial = partial_of(target, artifact)
    with partial.open("a+b") as file:
        arriving = _Arriving(file, artifact.size, progress)
        yield from _receive(requests, artifact, arriving)
        file.flush()
        os.fsync(file.fileno())
    if arriving.sha256 != artifact.sha256:
        partial.unlink()
        raise ChecksumMismatch(
            f"{target.name} arrived with the SHA-256 {arriving.sha256}, not {artifact.sha256}: it is not "
            "kept; download it again"
        )
    partial.replace(target)
    return target


def partial_of(target: Path, artifact: ArtifactFields) -> Path:
    """Where the bytes of an unfinished download are."""
    return target.with_name(f"{target.name}.{artifact.sha256[:12]}.part")


class _Arriving:
    """The bytes that are there, and their digest."""

    def __init__(self, file: BinaryIO, size: int, progress: Progress | None) -> None:
        self._file, self._size, self._progress = file, size, progress
        self._hash = hashlib.sha256()
        self.there = 0
        file.seek(0)
        while piece := file.read(_PIECE):
            self._count(piece)
        if self.there > size:
            self.forget()
        self._tell()

    def add(self, piece: bytes) -> None:
        self._file.write(piece)
        self._count(piece)
        self._tell()

    def forget(self) -> None:
        self._file.truncate(0)
        self._hash, self.there = hashlib.sha256(), 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def _count(self, piece: bytes) -> None:
        self._hash.update(piece)
        self.there += len(piece)

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self.there, self._size)


def _receive(requests: Requests, artifact: ArtifactFields, arriving: _Arriving) -> Operation[None]:
    tries = requests.tries()
    while arriving.there < artifact.size:
        # Of the same bytes or none; compressed ones could not be counted.
        headers = {"Range": f"bytes={arriving.there}-", "If-Range": f'"{artifact.sha256}"'}
        headers["Accept-Encoding"] = "identity"
        try:
            answer: httpx2.Response = yield Open(path=f"/v1/artifacts/{artifact.id}/content", headers=headers)
            if not answer.is_success:
                refused = refusal(answer)
                wait = retry_after(answer, refused)
                if wait is None:
                    raise refused
                yield from tries.again(refused, wait)
                continue
            if answer.status_code != 206:
                arriving.forget()
            piece: bytes | None
            while (piece := (yield Next())) is not None:
                arriving.add(piece)
                tries.progressed()
        except httpx2.TransportError as error:
            yield from tries.again(requests.unreachable(error))
        else:
            if arriving.there < artifact.size:
                yield from tries.again(UnexpectedAnswer(f"{artifact.id}: the bytes end before their end"))
