"""Files that arrive in pieces.

The length of such a file is how much has come, whatever died meanwhile; the time of its last change is
when the last byte came. Whoever writes it, completes it or throws it away holds its lock, which the
system frees with the process, and which holds between processes on one file system.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from core.errors import Gone, Locked


class Arrived(NamedTuple):
    """size: bytes that are there. changed: when the last of them came."""

    size: int
    changed: datetime


class PartialFiles:
    """A folder of them, by name. Names are made by us, never by users."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def create(self, name: str) -> None:
        """An empty file.

        Raises:
            FileExistsError
        """
        (self._folder / name).touch(exist_ok=False)

    def arrived(self, name: str) -> Arrived | None:
        """How much is there, None if there is no such file."""
        try:
            found = (self._folder / name).stat()
        except FileNotFoundError:
            return None
        return Arrived(found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    @contextmanager
    def lock(self, name: str) -> Iterator["PartialFile"]:
        """The file, for nobody else meanwhile.

        Raises:
            Gone: there is no such file, or no longer.
            Locked: somebody else has it.
        """
        path = self._folder / name
        gone = Gone(f"{name} is gone: nothing came for too long, or it was deleted: begin a new upload")
        try:
            file = FileIO(path, "r+")
        except FileNotFoundError as error:
            raise gone from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Locked(f"another request is writing {name}: wait for its end, or try again") from error
            # Who held the lock until now may have removed the file.
            if os.fstat(file.fileno()).st_nlink == 0:
                raise gone
            file.seek(0, os.SEEK_END)
            yield PartialFile(path, file)

    def unchanged_for(self, seconds: float) -> list[str]:
        """The names of files to which nothing came for this long."""
        oldest = time.time() - seconds
        names = []
        for path in sorted(self._folder.iterdir()):
            arrived = self.arrived(path.name)
            if arrived is not None and arrived.changed.timestamp() < oldest:
                names.append(path.name)
        return names


class PartialFile:
    """A file that is locked, positioned at its end. Writes are not buffered: what was written has come."""

    def __init__(self, path: Path, file: FileIO) -> None:
        self.path = path
        self._file = file

    @property
    def size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def write(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest:
            rest = rest[self._file.write(rest) :]

    def cut(self, size: int) -> None:
        """Throw away what came after the first `size` bytes."""
        self._file.truncate(size)
        self._file.seek(0, os.SEEK_END)

    def sha256(self) -> str:
        """Of the whole, read once."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
