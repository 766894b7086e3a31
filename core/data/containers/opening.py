"""From an upload, or a path on the server, to its members: which container it is, decided by content."""

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from core.data.containers.archive import STEP, Archive
from core.data.containers.folder import open_folder
from core.data.containers.inflate import COMPRESSIONS, bounded
from core.data.containers.members import Member, check_members
from core.data.containers.tar_headers import BLOCK, is_tar_header, list_tar
from core.data.containers.unchanged import unchanged
from core.data.containers.zip_directory import list_zip
from core.data.limits import Limits
from core.data.sniff import PARQUET_MAGIC, describe, unrecognised
from core.errors import DataError

ZIP_MAGIC = (b"PK\3\4", b"PK\5\6")


@contextmanager
def open_source(source: Path, work: Path, limits: Limits) -> Iterator[Archive]:
    """Open a file, whatever its name, or a folder.

    A compressed tar is first expanded into `work`, counted as it grows: members can then be read in
    the order of their names, and as often as needed, at the price of one decompression and the disk.

    Raises:
        DataError: `empty_file`, `unrecognised_format`, `truncated_archive`, `corrupt_archive`,
            `unsafe_member_name`, `duplicate_member`, `unsupported_member`, `overlapping_members`,
            `limit_exceeded`, `source_changed` or (of a folder) `unreadable_member`.
    """
    if source.is_dir():
        with open_folder(source, work, limits) as folder:
            yield folder
        return
    with source.open("rb") as file, unchanged(file.fileno(), source.name):
        head = file.read(BLOCK)
        if not head:
            raise DataError("the file is empty", code="empty_file")
        container = _container(head)
        if container.startswith("tar."):
            expanded = _expand_tar(file, container, work, limits)
            with expanded.open("rb") as tar:
                yield _archive(tar, container, work, limits)
        else:
            yield _archive(file, container, work, limits)


def _archive(file: BinaryIO, container: str, work: Path, limits: Limits) -> Archive:
    if container == "zip":
        members = list_zip(file, limits)
    elif container == "file":
        size = os.fstat(file.fileno()).st_size
        members = [Member(name="upload", offset=0, stored_bytes=size, size=size)]
    else:
        members = list_tar(file, limits)
    check_members(members, limits)
    return Archive(container, members, functools.partial(_read_at, file.fileno()), work=work, limits=limits)


def _read_at(descriptor: int, member: Member, position: int, count: int) -> bytes:
    return os.pread(descriptor, count, member.offset + position)


def _container(head: bytes) -> str:
    if head.startswith(ZIP_MAGIC):
        return "zip"
    for magic, name, _ in COMPRESSIONS:
        if head.startswith(magic):
            return f"tar.{name}"
    if is_tar_header(head):
        return "tar"
    if head.startswith(PARQUET_MAGIC):
        return "file"
    if head[257:262] == b"ustar":
        code = "truncated_archive" if len(head) < BLOCK else "corrupt_archive"
        raise DataError("the first tar header is corrupt or cut short", code=code)
    raise unrecognised(describe(head))


def _expand_tar(file: BinaryIO, container: str, work: Path, limits: Limits) -> Path:
    compression = container.removeprefix("tar.")
    expand = next(expand for _, name, expand in COMPRESSIONS if name == compression)
    what = f"the {compression} data"
    target = work / "expanded.tar"
    file.seek(0)
    with target.open("wb") as out:
        head = b""
        for chunk in bounded(
            expand(iter(lambda: file.read(STEP), b""), what),
            stored_bytes=os.fstat(file.fileno()).st_size,
            limit_name="expanded_bytes",
            limits=limits,
            what=what,
        ):
            out.write(chunk)
            if len(head) < BLOCK:
                head += chunk[: BLOCK - len(head)]
                if len(head) == BLOCK and not is_tar_header(head):
                    raise unrecognised(f"{what} of {describe(head)}")
    if len(head) < BLOCK:
        raise unrecognised(f"{what} of {describe(head)}" if head else f"{what} of nothing")
    return target
