"""The one way to the members of an upload: nothing is extracted, every byte is counted."""

import io
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from core.data.containers.inflate import bounded, inflate_raw
from core.data.containers.members import Member
from core.data.limits import Limits
from core.errors import DataError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

STEP = 1024**2
HEAD_STEP = 4096
# What is wrong with the member itself, and not with the disk or the whole archive.
CORRUPT = ("corrupt_member", "corrupt_archive", "truncated_archive")

ReadAt = Callable[[Member, int, int], bytes]
"""(member, position in its stored bytes, count) → that many bytes, or fewer where the file ends."""


class Archive:
    """Members by name and byte range; reads are positional, so any thread may read.

    Attributes:
        container: "zip", "tar", "tar.gz", "tar.xz", "tar.zst", "folder" or "file" (a single one).
        members: the regular files, sorted by name.
        work: a folder for what has to be expanded on disk.
    """

    def __init__(
        self, container: str, members: list[Member], read_at: ReadAt, *, work: Path, limits: Limits
    ) -> None:
        self._read_at = read_at
        self._limits = limits
        self.work = work
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
                    raise _corrupt(member, f"it unpacks to more than its declared {member.size:,} bytes")
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
            raise _corrupt(member, "its checksum does not match")

    def read(self, member: Member) -> bytes:
        """All of a member; callers hold `member.size` against a limit of theirs first."""
        return b"".join(self.chunks(member))

    def head(self, member: Member, count: int) -> bytes:
        """The first `count` bytes, or fewer if the member is shorter or corrupt; its size is not checked.

        Raises:
            DataError: `source_changed` or `unreadable_member`, of a folder.
        """
        found = b""
        try:
            for chunk in self._expanded(member, count if not member.deflated else HEAD_STEP):
                found += chunk
                if len(found) >= count:
                    break
        except DataError as error:
            # Whoever goes on to read the whole member gets the error, with its reason.
            if error.code not in CORRUPT:
                raise
        return found[:count]

    def read_at(self, member: Member, position: int, count: int) -> bytes:
        """Stored bytes of a member, as many as asked for or fewer where the file ends; nothing is checked."""
        return self._read_at(member, position, count)

    def open(self, member: Member) -> BinaryIO:
        """A member as a seekable file, for libraries that want one; a deflated one is expanded on disk.

        Raises:
            DataError: as `chunks`, of a deflated member; others are not checked.
        """
        if not member.deflated:
            return io.BufferedReader(_StoredFile(member, self._read_at), STEP)
        file = tempfile.TemporaryFile(dir=self.work)  # noqa: SIM115 (the caller closes it)
        try:
            file.writelines(self.chunks(member))
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return file

    def _expanded(self, member: Member, step: int = STEP) -> Iterator[bytes]:
        stored = self._stored(member, min(step, STEP))
        return inflate_raw(stored, member.name) if member.deflated else stored

    def _stored(self, member: Member, step: int) -> Iterator[bytes]:
        position, end = 0, member.stored_bytes
        while position < end:
            chunk = self._read_at(member, position, min(step, end - position))
            if not chunk:
                raise _corrupt(member, "the archive ends inside it")
            position += len(chunk)
            yield chunk


class _StoredFile(io.RawIOBase):
    def __init__(self, member: Member, read_at: ReadAt) -> None:
        self._member, self._read_at = member, read_at
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._member.stored_bytes}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        # In steps, or a library that asks for a hundred megabytes would have them in memory twice.
        count = max(0, min(len(view), STEP, self._member.stored_bytes - self._position))
        chunk = self._read_at(self._member, self._position, count) if count else b""
        view[: len(chunk)] = chunk
        self._position += len(chunk)
        return len(chunk)


def _corrupt(member: Member, why: str) -> DataError:
    return DataError(f"{member.name!r} is corrupt: {why}", code="corrupt_member", member=member.name)
