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


def _files(folder: Path, within: str = "", above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[str]:
    """Relative names, of what links lead to as well. Hidden files and folders are left out: no tool's own
    files are images. So is a link to a folder that it lies in, of which all is there already.

    Args:
        within: what the names begin with.
        above: device and inode of the folders that the walk is in.
    """
    found = folder.stat()
    here = (found.st_dev, found.st_ino)
    if here in above:
        return
    with os.scandir(folder) as entries:
        seen = [one for one in entries if not one.name.startswith(".")]
    for one in seen:
        if one.is_dir():
            yield from _files(Path(one.path), f"{within}{one.name}/", above | {here})
        elif one.is_file():
            yield within + one.name
