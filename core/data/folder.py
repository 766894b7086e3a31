"""A folder on the server's disk, read as if it were an archive of its files."""

import functools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.data.archive import Archive
from core.data.limits import Limits, check_limit
from core.data.members import Member, check_members, safe_name
from core.errors import DataError


@contextmanager
def open_folder(folder: Path, work: Path, limits: Limits) -> Iterator[Archive]:
    """Its regular files, at any depth. Links are refused: they may lead out of the folder.

    Raises:
        DataError: `unsupported_member`, `unsafe_member_name`, `duplicate_member` or `limit_exceeded`.
    """
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        found = list(_files(root, limits))
        members = [member for member, _ in found]
        check_members(members, limits)
        # Normalisation may have changed a name: the disk knows it as it was.
        paths = {member.name: path for member, path in found}
        yield Archive("folder", members, functools.partial(_read_at, root, paths), work=work, limits=limits)
    finally:
        os.close(root)


def _files(root: int, limits: Limits) -> Iterator[tuple[Member, str]]:
    entries = 0
    for parent, folders, files, descriptor in os.fwalk(".", dir_fd=root):
        entries += len(folders) + len(files)
        check_limit("members", entries, limits.members)
        # In this order the walk itself goes on.
        folders.sort()
        for name in (*folders, *files):
            path = f"{parent}/{name}"
            shown = safe_name(path, limits)
            status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                size = status.st_size
                yield Member(name=shown, offset=0, stored_bytes=size, size=size), path
            elif not stat.S_ISDIR(status.st_mode):
                kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "a special file"
                raise DataError(
                    f"{shown!r} is {kind}; only regular files are read",
                    code="unsupported_member",
                    member=shown,
                )


def _read_at(root: int, paths: dict[str, str], member: Member, position: int, count: int) -> bytes:
    # The name was walked without links; that none has been put in since is seen for its last part only.
    descriptor = os.open(paths[member.name], os.O_RDONLY | os.O_NOFOLLOW, dir_fd=root)
    try:
        return os.pread(descriptor, count, position)
    finally:
        os.close(descriptor)
