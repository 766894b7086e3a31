"""The one way to the members of an uploaded zip or tar: nothing is extracted, every byte is counted."""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.data.inflate import GZIP_MAGIC, XZ_MAGIC, bounded, gunzip, inflate_raw, unxz
from core.data.limits import Limits
from core.data.members import Member, check_members
from core.data.sniff import describe, unrecognised
from core.data.tar_headers import BLOCK, is_tar_header, list_tar
from core.data.zip_directory import list_zip
from core.errors import DataError

STEP = 1024**2
ZIP_MAGIC = (b"PK\3\4", b"PK\5\6")


class Archive:
    """Members by name and byte range; reads are positional, so any thread may read.

    Attributes:
        container: "zip", "tar", "tar.gz" or "tar.xz".
        members: the regular files, sorted by name.
    """

    def __init__(self, descriptor: int, container: str, members: list[Member], limits: Limits) -> None:
        self._descriptor = descriptor
        self._limits = limits
        self.container = container
        self.members = tuple(sorted(members, key=lambda member: member.name))

    def chunks(self, member: Member) -> Iterator[bytes]:
        """The member's expanded bytes.

        Raises:
            DataError: `limit_exceeded`, or `corrupt_member` if size or checksum are not as declared.
        """
        expanded = self._expanded(member)
        count = crc = 0
        try:
            for chunk in bounded(
                expanded,
                stored_bytes=member.stored_bytes,
                limit_name="member_bytes",
                limits=self._limits,
                what=member.name,
            ):
                count += len(chunk)
                if count > member.size:
                    raise _corrupt(member, f"it expands past its declared {member.size:,} bytes")
                if member.crc is not None:
                    crc = zlib.crc32(chunk, crc)
                yield chunk
        except DataError as error:
            if error.code in ("truncated_archive", "corrupt_archive"):
                raise _corrupt(member, error.detail) from error
            raise
        if count != member.size:
            raise _corrupt(member, f"it holds {count:,} of its declared {member.size:,} bytes")
        if member.crc is not None and crc != member.crc:
            raise _corrupt(member, "its checksum does not hold")

    def read(self, member: Member) -> bytes:
        """All of a member; callers hold `member.size` against a limit of theirs first."""
        return b"".join(self.chunks(member))

    def head(self, member: Member, count: int) -> bytes:
        """The first `count` bytes, or fewer if the member is shorter or corrupt; its size is not checked."""
        found = b""
        try:
            for chunk in self._expanded(member):
                found += chunk
                if len(found) >= count:
                    break
        except DataError:
            # Whoever goes on to read the whole member gets the error, with its reason.
            pass
        return found[:count]

    def _expanded(self, member: Member) -> Iterator[bytes]:
        stored = self._stored(member)
        return inflate_raw(stored, member.name) if member.deflated else stored

    def _stored(self, member: Member) -> Iterator[bytes]:
        position, end = member.offset, member.offset + member.stored_bytes
        while position < end:
            chunk = os.pread(self._descriptor, min(STEP, end - position), position)
            if not chunk:
                raise _corrupt(member, "the archive ends inside it")
            position += len(chunk)
            yield chunk


def _corrupt(member: Member, why: str) -> DataError:
    return DataError(f"{member.name!r} is corrupt: {why}", code="corrupt_member", member=member.name)


@contextmanager
def open_archive(source: Path, work: Path, limits: Limits) -> Iterator[Archive]:
    """Open an upload, whatever its name.

    A compressed tar is first expanded into `work`, counted as it grows: members can then be read in
    the order of their names, and as often as needed, at the price of one decompression and the disk.

    Raises:
        DataError: `empty_file`, `unrecognised_format`, `truncated_archive`, `corrupt_archive`,
            `unsafe_member_name`, `duplicate_member`, `unsupported_member`, `overlapping_members` or
            `limit_exceeded`.
    """
    with source.open("rb") as file:
        head = file.read(BLOCK)
    if not head:
        raise DataError("the uploaded file is empty", code="empty_file")
    if head.startswith(ZIP_MAGIC):
        path, container = source, "zip"
    elif head.startswith((GZIP_MAGIC, XZ_MAGIC)):
        path, container = _expand_tar(source, work, limits)
    elif is_tar_header(head):
        path, container = source, "tar"
    elif head[257:262] == b"ustar":
        raise DataError("the first tar header is corrupt or cut short", code=_cut_or_corrupt(head))
    else:
        raise unrecognised(describe(head))
    with path.open("rb") as file:
        members = list_zip(file, limits) if container == "zip" else list_tar(file, limits)
        check_members(members, limits)
        yield Archive(file.fileno(), container, members, limits)


def _cut_or_corrupt(head: bytes) -> str:
    return "truncated_archive" if len(head) < BLOCK else "corrupt_archive"


def _expand_tar(source: Path, work: Path, limits: Limits) -> tuple[Path, str]:
    target = work / "expanded.tar"
    with source.open("rb") as file, target.open("wb") as out:
        compressed = iter(lambda: file.read(STEP), b"")
        gzipped = file.read(2) == GZIP_MAGIC
        file.seek(0)
        what = f"the {'gzip' if gzipped else 'xz'} data"
        expanded = gunzip(compressed, what) if gzipped else unxz(compressed, what)
        head = b""
        for chunk in bounded(
            expanded,
            stored_bytes=source.stat().st_size,
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
    return target, "tar.gz" if gzipped else "tar.xz"
