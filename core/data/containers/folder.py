"""A folder on the server's disk, read as if it were an archive of its files."""

import errno
import functools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from core.data.containers.archive import Archive
from core.data.containers.members import Member, check_members, safe_name
from core.data.containers.unchanged import Stamp, changed, stamp
from core.data.limits import Limits, check_limit
from core.errors import DataError

# A pipe that is put in a file's place must not make its opening wait.
OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)
DENIED = (errno.EACCES, errno.EPERM)


@contextmanager
def open_folder(folder: Path, work: Path, limits: Limits) -> Iterator[Archive]:
    """Its regular files, at any depth. Links are refused: they may lead out of the folder.

    Each file must be the same whenever it is read; files that are added meanwhile do not belong to it.

    Raises:
        DataError: `unsupported_member`, `unsafe_member_name`, `duplicate_member`, `limit_exceeded`,
            `unreadable_member` or `source_changed`.
    """
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = list(_files(root, limits))
        members = [member for member, _, _ in found]
        check_members(members, limits)
        # Normalisation may have changed a name: the disk knows it as it was.
        seen = {member.name: (path, at_first) for member, path, at_first in found}
        del found
        yield Archive("folder", members, functools.partial(_read_at, root, seen), work=work, limits=limits)
    finally:
        os.close(root)


def _files(root: int, limits: Limits) -> Iterator[tuple[Member, str, Stamp]]:
    entries = 0
    for parent, folders, files, descriptor in os.fwalk(".", dir_fd=root, onerror=_unreadable):
        entries += len(folders) + len(files)
        check_limit("members", entries, limits.members)
        # In this order the walk itself goes on.
        folders.sort()
        for name in (*folders, *files):
            path = f"{parent}/{name}"
            shown = safe_name(path, limits)
            try:
                status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            except OSError as error:
                _raise_known(error, shown)
            if stat.S_ISREG(status.st_mode):
                size = status.st_size
                yield Member(name=shown, offset=0, stored_bytes=size, size=size), path, stamp(status)
            elif not stat.S_ISDIR(status.st_mode):
                kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "a special file"
                raise DataError(
                    f"{shown!r} is {kind}; only regular files are read",
                    code="unsupported_member",
                    member=shown,
                )


def _read_at(
    root: int, seen: dict[str, tuple[str, Stamp]], member: Member, position: int, count: int
) -> bytes:
    path, at_first = seen[member.name]
    try:
        descriptor = os.open(path, OPEN_FILE, dir_fd=root)
    except OSError as error:
        _raise_known(error, member.name)
    try:
        # Before, because a link that was put into the path may lead to anything; after, because of writers.
        if stamp(os.fstat(descriptor)) == at_first:
            data = os.pread(descriptor, count, position)
            if stamp(os.fstat(descriptor)) == at_first:
                return data
        raise changed(member.name)
    finally:
        os.close(descriptor)


def _unreadable(error: OSError) -> NoReturn:
    _raise_known(error, os.fsencode(error.filename or "").decode("utf-8", "backslashreplace"))


def _raise_known(error: OSError, name: str) -> NoReturn:
    """The user's error in place of the system's, unless the disk itself is at fault."""
    if error.errno in GONE:
        raise changed(name) from error
    if error.errno in DENIED:
        raise DataError(
            f"{name!r} may not be read by the server", code="unreadable_member", member=name
        ) from error
    raise error
