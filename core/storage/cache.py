"""Copies of blobs on this machine's disk, for who needs a path.

Each is a directory with `content` in it, a file or a folder. A lock on the directory, which the system frees
with the process, says who is at it, also between processes: shared, it is in use; alone, it is being filled
or thrown away. Blobs never change, so a copy is good for as long as it is there.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Cache:
    """At most `limit` bytes of them, unless more are in use at once: the least recently used go first."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def hold(self, key: str, fill: Callable[[Path], None]) -> Iterator[Path]:
        """The copy of `key`, which stays while it is held. `fill(target)` makes it if there is none."""
        entry = self._folder / key.replace("/", "+")  # no key has a plus
        descriptor = self._take(entry, fill)
        try:
            yield entry / "content"
        finally:
            os.close(descriptor)
            self.make_room(0)

    def make_room(self, size: int) -> None:
        """Throw away what nobody uses until `size` more bytes fit, or nothing is left to throw away."""
        entries = self._entries()
        total = size + sum(held for _, held, _ in entries)
        for _, held, entry in entries:
            if total <= self._limit:
                break
            if _evict(entry):
                total -= held

    def forget_unused(self, older_than_seconds: float) -> None:
        """Throw away what nobody has used for so long: it may be a copy of what was deleted."""
        oldest = time.time() - older_than_seconds
        for used, _, entry in self._entries():
            if used < oldest:
                _evict(entry)

    def forget(self, key: str) -> None:
        """Throw away the copy of a blob that is no more, unless somebody uses it."""
        _evict(self._folder / key.replace("/", "+"))

    def _take(self, entry: Path, fill: Callable[[Path], None]) -> int:
        """A descriptor of an entry with its content, locked against its eviction."""
        content = entry / "content"
        while True:
            with suppress(FileExistsError):  # exist_ok looks again, and it may have been evicted by then
                entry.mkdir()
            try:
                descriptor = os.open(entry, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                continue  # evicted between the two
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH)
                if _is(entry, descriptor) and content.exists():
                    os.utime(entry)
                    return descriptor
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                # Whoever had the lock meanwhile may have filled it, or evicted it.
                if _is(entry, descriptor) and not content.exists():
                    _fill(entry, fill)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _entries(self) -> list[tuple[float, int, Path]]:
        """When it was used last, its bytes, and where it is; the least recently used first."""
        found = []
        for entry in self._folder.iterdir():
            with suppress(FileNotFoundError):
                size = sum(path.stat().st_size for path in entry.rglob("*") if path.is_file())
                found.append((entry.stat().st_mtime, size, entry))
        return sorted(found)


def _fill(entry: Path, fill: Callable[[Path], None]) -> None:
    part = entry / "part"
    try:
        _remove(part)  # of a process that died
        fill(part)
        part.rename(entry / "content")
    finally:
        _remove(part)


def _evict(entry: Path) -> bool:
    try:
        descriptor = os.open(entry, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is(entry, descriptor):
            # First by name: a process that is killed in the middle must not leave half of it as the content.
            _remove(entry / "part")
            with suppress(FileNotFoundError):
                (entry / "content").rename(entry / "part")
            shutil.rmtree(entry)
        return True
    except BlockingIOError:
        return False  # in use
    finally:
        os.close(descriptor)


def _is(entry: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(entry.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove(part: Path) -> None:
    if part.is_dir():
        shutil.rmtree(part)
    else:
        part.unlink(missing_ok=True)
