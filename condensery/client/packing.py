"""Folders as files: a zip that the same folder always has under the same name, so that its upload can be
gone on with after this process was killed."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

from condensery.client.errors import NothingToSend
from condensery.client.unfinished import cache_folder


@contextmanager
def packed(source: Path) -> Iterator[tuple[Path, str]]:
    """The file to send, and what to call it: itself, or a zip of a folder, which is removed once it was sent.

    Raises:
        OSError: there is nothing, or it cannot be read.
        NothingToSend: a folder without a file.
    """
    if not source.is_dir():
        yield source, source.name
        return
    archive = _packed(source)
    yield archive, f"{source.resolve().name}.zip"
    archive.unlink(missing_ok=True)


def _packed(folder: Path) -> Path:
    listed: list[tuple[str, int, int]] = []
    for name in sorted(_files(folder)):
        stat = (folder / name).stat()
        listed.append((name, stat.st_size, stat.st_mtime_ns))
    if not listed:
        raise NothingToSend(f"{folder} has no file in it")
    key = json.dumps([str(folder.resolve()), listed])
    archive = cache_folder("packed") / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.zip"
    if archive.exists():
        return archive
    fresh = archive.with_suffix(f".{os.getpid()}.new")
    try:
        # Images are compressed already. Older than any that ZIP can date is of no interest here.
        with ZipFile(fresh, "w", ZIP_STORED, strict_timestamps=False) as target:
            for name, _, _ in listed:
                target.write(folder / name, name)
        fresh.replace(archive)
    finally:
        fresh.unlink(missing_ok=True)
    return archive


def _files(folder: Path) -> Iterator[str]:
    """Relative names. Hidden files and folders are left out: no tool's own files are images."""
    for root, folders, names in os.walk(folder):
        folders[:] = [one for one in folders if not one.startswith(".")]
        for name in names:
            path = Path(root, name)
            if not name.startswith(".") and path.is_file():
                yield path.relative_to(folder).as_posix()
