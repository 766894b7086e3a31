"""Blobs in a local (or shared) directory.

A blob appears whole or not at all: it is written under `tmp/`, synced, then renamed into place, and
the rename is synced too. Keys are made by us, never by users.
"""

import errno
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from core.errors import StorageFull
from core.settings import get_settings
from core.storage.partial import PartialFiles

_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")


class LocalStorage:
    """Blobs by key under `root`."""

    def __init__(self, root: Path) -> None:
        self._blobs = root.absolute() / "blobs"
        self._tmp = root.absolute() / "tmp"
        for folder in (self._blobs, self._tmp):
            folder.mkdir(parents=True, exist_ok=True)
        self.partial = PartialFiles(root.absolute() / "partial")

    def path(self, key: str) -> Path:
        """Where a blob can be read as a plain file."""
        if not _KEY.fullmatch(key):
            raise ValueError(f"not a blob key: {key!r}")
        return self._blobs / key

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A directory on the same file system, gone afterwards."""
        with tempfile.TemporaryDirectory(dir=self._tmp) as folder, full_disk_is_named():
            yield Path(folder)

    def put(self, key: str, source: Path) -> None:
        """Move a file (or a directory of files) from `scratch()` to `key`, durably."""
        target = self.path(key)
        with full_disk_is_named():
            for path in (*source.rglob("*"), source):
                _sync(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
            self._sync_names(target)

    def adopt(self, key: str, source: Path) -> None:
        """Give the file `source`, on the same file system, the name `key` as well, durably.

        Until `source` is removed it is there twice, so that a crash between the two loses nothing.
        """
        target = self.path(key)
        with full_disk_is_named("what was received is kept"):
            _sync(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)  # of an attempt that died before it could register it
            target.hardlink_to(source)
            self._sync_names(target)

    def delete(self, key: str) -> None:
        self.path(key).unlink(missing_ok=True)

    def delete_prefix(self, prefix: str) -> None:
        shutil.rmtree(self.path(prefix), ignore_errors=True)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Every blob's key below `prefix`."""
        start = self.path(prefix) if prefix else self._blobs
        for path in sorted(start.rglob("*")):
            if path.is_file():
                yield path.relative_to(self._blobs).as_posix()

    def unchanged_for(self, prefix: str, seconds: float) -> list[str]:
        """The keys below `prefix` whose files are older than this, with these contents under this name."""
        oldest, found = time.time() - seconds, []
        for key in self.keys(prefix):
            with suppress(FileNotFoundError):
                status = self.path(key).stat()
                if max(status.st_mtime, status.st_ctime) < oldest:
                    found.append(key)
        return found

    def forget_abandoned(self, older_than_seconds: float = 86_400) -> None:
        """Delete what processes that died left under `tmp/`."""
        oldest = time.time() - older_than_seconds
        for entry in self._tmp.iterdir():
            with suppress(FileNotFoundError):
                newest = max(path.stat().st_mtime for path in (entry, *entry.rglob("*")))
                if newest >= oldest:
                    continue
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def _sync_names(self, target: Path) -> None:
        # Up to the root: any of these directories may be new.
        for folder in target.parents:
            _sync(folder)
            if folder == self._blobs:
                break

    @contextmanager
    def receive(self) -> Iterator["Receiver"]:
        """A file to stream bytes into while they are hashed; gone afterwards unless stored."""
        # Closing writes what is still buffered, so it can meet the full disk too.
        with (
            full_disk_is_named(),
            tempfile.NamedTemporaryFile(dir=self._tmp, prefix="receive-", delete=False) as file,
        ):
            try:
                yield Receiver(self, file)
            finally:
                Path(file.name).unlink(missing_ok=True)


class Receiver:
    """Bytes on their way to a blob: `size` and `sha256` of what has come so far."""

    def __init__(self, storage: LocalStorage, file: "tempfile._TemporaryFileWrapper[bytes]") -> None:
        self._storage = storage
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self._file.write(chunk)
        self.size += len(chunk)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def store(self, key: str) -> None:
        """Keep the bytes under `key`. Bytes that are there already are the same: keys name content."""
        self._file.flush()
        if self._storage.path(key).exists():
            return
        self._storage.put(key, Path(self._file.name))


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def full_disk_is_named(kept: str = "nothing was kept") -> Iterator[None]:
    """Turn "no space left" into the error that the user is told."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StorageFull(f"the server's storage is full; {kept}") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@lru_cache
def get_storage() -> LocalStorage:
    """The storage of this process."""
    return LocalStorage(get_settings().data_dir)
