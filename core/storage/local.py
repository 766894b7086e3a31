"""Blobs in a local (or shared) directory.

A blob is written under `tmp/`, synced, then renamed into place, and the rename is synced too.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from core.failpoints import reach
from core.storage.disk import full_disk_is_named, make_folder, sync
from core.storage.keys import checked
from core.storage.partial import PartialFiles
from core.storage.receiver import Receiver
from core.storage.temporary import Temporary

#: Large enough that the hop to a thread costs little, small enough that memory stays flat.
_PIECE = 1 << 20


class LocalStorage:
    """core.storage.Storage under `root`."""

    def __init__(self, root: Path) -> None:
        self._blobs = root.absolute() / "blobs"
        make_folder(self._blobs)
        self._temporary = Temporary(root.absolute() / "tmp")
        self.partial = PartialFiles(root.absolute() / "partial")

    def path(self, key: str) -> Path:
        return self._blobs / checked(key)

    def scratch(self) -> AbstractContextManager[Path]:
        return self._temporary.scratch()

    def receive(self) -> AbstractContextManager[Receiver]:
        return self._temporary.receive(self.put)

    def put(self, key: str, source: Path) -> None:
        """Move `source`, which must be on the same file system."""
        target = self.path(key)
        with full_disk_is_named():
            for path in (*source.rglob("*"), source):
                sync(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            reach("blob.synced")
            source.replace(target)
            reach("blob.renamed")
            self._sync_names(target)

    def adopt(self, key: str, source: Path) -> None:
        """Give `source`, on the same file system, the name `key` as well."""
        target = self.path(key)
        with full_disk_is_named("what was received is kept"):
            sync(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)  # of an attempt that died before it could register it
            target.hardlink_to(source)
            self._sync_names(target)

    def size(self, key: str) -> int:
        return self.path(key).stat().st_size

    def read(self, key: str, start: int, stop: int) -> Iterator[bytes]:
        with self.path(key).open("rb") as file:
            file.seek(start)
            while piece := file.read(min(_PIECE, stop - start)):
                start += len(piece)
                yield piece

    @contextmanager
    def local_file(self, key: str) -> Iterator[Path]:
        yield self.path(key)

    @contextmanager
    def local_folder(self, prefix: str) -> Iterator[Path]:
        yield self.path(prefix)

    def delete(self, key: str) -> None:
        self.path(key).unlink(missing_ok=True)

    def delete_prefix(self, prefix: str) -> None:
        shutil.rmtree(self.path(prefix), ignore_errors=True)

    def keys(self, prefix: str = "") -> Iterator[str]:
        start = self.path(prefix) if prefix else self._blobs
        # Not rglob, which fails if a folder is deleted meanwhile.
        paths = (Path(folder, name) for folder, _, names in os.walk(start) for name in names)
        for path in sorted(paths):
            yield path.relative_to(self._blobs).as_posix()

    def unchanged_for(self, prefix: str, seconds: float) -> list[str]:
        oldest, found = time.time() - seconds, []
        for key in self.keys(prefix):
            with suppress(FileNotFoundError):
                status = self.path(key).stat()
                if max(status.st_mtime, status.st_ctime) < oldest:
                    found.append(key)
        return found

    def forget_abandoned(self, older_than_seconds: float = 86_400) -> None:
        self._temporary.forget_abandoned(older_than_seconds)

    def check(self) -> None:
        with self.scratch() as folder:
            (folder / "probe").write_bytes(b"ok")

    def _sync_names(self, target: Path) -> None:
        # Up to the root: any of these directories may be new.
        for folder in target.parents:
            sync(folder)
            if folder == self._blobs:
                break
