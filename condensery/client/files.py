"""Files on their way: read or written piece by piece, each byte hashed once and in order."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from condensery.client.errors import FileChanged

#: Bytes that are through, bytes of the whole.
Progress = Callable[[int, int], None]
_PIECE = 1 << 20


class Sending:
    """The file as it is sent, and the digest of all that was read of it."""

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
        """The next `count` bytes. Raises FileChanged: there are fewer."""
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


class Arriving:
    """The bytes of a download that are there, and their digest."""

    def __init__(self, file: BinaryIO, size: int, progress: Progress | None) -> None:
        self._file, self._size, self._progress = file, size, progress
        self._hash = hashlib.sha256()
        self.there = 0
        file.seek(0)
        while piece := file.read(_PIECE):
            self._count(piece)
        if self.there > size:
            self.forget()
        self._report()

    def add(self, piece: bytes) -> None:
        self._file.write(piece)
        self._count(piece)
        self._report()

    def forget(self) -> None:
        self._file.truncate(0)
        self._hash, self.there = hashlib.sha256(), 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def _count(self, piece: bytes) -> None:
        self._hash.update(piece)
        self.there += len(piece)

    def _report(self) -> None:
        if self._progress is not None:
            self._progress(self.there, self._size)


def partial_of(target: Path, sha256: str) -> Path:
    """Where the bytes of an unfinished download are."""
    return target.with_name(f"{target.name}.{sha256[:12]}.part")
