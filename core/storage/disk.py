"""This machine's disk: what is written to it must survive a power cut, and it may be full."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.errors import StorageFull


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """A directory, and those above it, whose names survive a power cut."""
    new = [one for one in folder.parents if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    # Another process may have made it a moment ago, and not come to this line yet.
    for one in (folder, *new):
        # A directory may be written to and not read; then it cannot be synced.
        with suppress(PermissionError):
            sync(one.parent)


@contextmanager
def full_disk_is_named(kept: str = "nothing was kept") -> Iterator[None]:
    """Turn "no space left" into the error that the user is told."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StorageFull(f"the server's storage is full; {kept}") from error
