"""The member list of a zip, checked before any member is read.

Written out rather than taken from zipfile, which keeps some 700 bytes of every entry of the directory and
lists all of it when it opens: a set of a million files would not fit beside its own images. Layout: PKWARE's
APPNOTE.TXT 6.3, sections 4.3.7 (local header), 4.3.12 (directory), 4.3.14 to 4.3.16 (its end), 4.5.3 (zip64).
"""

import itertools
import os
import stat
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from core.data.containers.inflate import truncated
from core.data.containers.members import Member, safe_name
from core.data.limits import Limits, check_limit
from core.errors import DataError

END = struct.Struct("<4s4H2LH")
END64_LOCATOR = struct.Struct("<4sLQL")
END64 = struct.Struct("<4sQ2H2L4Q")
CENTRAL = struct.Struct("<4s6H3L5H2L")
LOCAL = struct.Struct("<4s5H3L2H")
COMMENT_BYTES = 65535
FLAG_ENCRYPTED = 0x1
FLAG_UTF8 = 0x800
STORED, DEFLATED = 0, 8
ZIP64_EXTRA = 1
IN_ZIP64 = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class _Entry:
    name: bytes
    flags: int
    method: int
    crc: int
    stored_bytes: int
    size: int
    attributes: int
    offset: int


def list_zip(file: BinaryIO, limits: Limits) -> list[Member]:
    """The regular files of a zip, in the order of its directory.

    Raises:
        DataError: `truncated_archive`, `corrupt_archive`, `unsupported_member`, `overlapping_members`,
            `unsafe_member_name` or `limit_exceeded`.
    """
    at, size, first_byte = _find_directory(file)
    # The shortest possible entry bounds their number; the longest name allowed bounds their bytes.
    most_bytes = limits.members * (CENTRAL.size + min(limits.name_bytes, 256))
    check_limit("bytes of the zip directory", size, most_bytes)
    members: list[Member] = []
    starts, ends = array("Q"), array("Q")
    for entry in _entries(file, at, size):
        check_limit("members", len(starts) + 1, limits.members)
        name = safe_name(_name(entry), limits)
        _check_kind(entry, name)
        start = first_byte + entry.offset
        data_at = _data_offset(file, start, name)
        starts.append(start)
        ends.append(data_at + entry.stored_bytes)
        if not entry.name.endswith(b"/"):
            members.append(
                Member(
                    name=name,
                    offset=data_at,
                    stored_bytes=entry.stored_bytes,
                    size=entry.size,
                    deflated=entry.method == DEFLATED,
                    crc=entry.crc,
                )
            )
    _check_overlaps(file, (at, size), starts, ends, limits)
    return members


def _find_directory(file: BinaryIO) -> tuple[int, int, int]:
    """Where the directory begins, its bytes, and where the zip itself begins (a program may precede it)."""
    length = file.seek(0, os.SEEK_END)
    tail_at = max(0, length - END.size - COMMENT_BYTES)
    file.seek(tail_at)
    tail = file.read()
    found = tail.rfind(b"PK\5\6")
    if found < 0 or len(tail) - found < END.size:
        raise truncated("the zip archive")
    *_, size, offset, _ = END.unpack_from(tail, found)
    end = tail_at + found
    at64 = end - END64_LOCATOR.size - END64.size
    if at64 >= 0:
        file.seek(at64)
        block = file.read(END64.size + 4)
        if block[END64.size :] == b"PK\6\7" and block[:4] == b"PK\6\6":
            *_, size, offset = END64.unpack_from(block)
            end = at64
    at = end - size
    if at < 0 or offset > at:
        raise _corrupt(f"{size:,} bytes at {offset:,} do not fit before its end at {end:,}")
    return at, size, at - offset


def _entries(file: BinaryIO, at: int, size: int) -> Iterator[_Entry]:
    file.seek(at)
    left = size
    while left:
        head = file.read(CENTRAL.size)
        if len(head) < CENTRAL.size or not head.startswith(b"PK\1\2"):
            raise _corrupt(f"no entry {left:,} bytes before its end")
        (
            _, _, _, flags, method, _, _, crc, stored_bytes, expanded, name_bytes, extra_bytes, comment_bytes,
            _, _, attributes, offset,
        ) = CENTRAL.unpack(head)  # fmt: skip
        rest = file.read(name_bytes + extra_bytes + comment_bytes)
        left -= len(head) + len(rest)
        if len(rest) != name_bytes + extra_bytes + comment_bytes or left < 0:
            raise _corrupt("its last entry is cut short")
        expanded, stored_bytes, offset = _from_zip64(
            rest[name_bytes : name_bytes + extra_bytes], expanded, stored_bytes, offset
        )
        yield _Entry(
            name=rest[:name_bytes],
            flags=flags,
            method=method,
            crc=crc,
            stored_bytes=stored_bytes,
            size=expanded,
            attributes=attributes,
            offset=offset,
        )


def _from_zip64(extra: bytes, *fields: int) -> Iterator[int]:
    """The fields, those that did not fit replaced by what the zip64 extra field says."""
    large = b""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        if kind == ZIP64_EXTRA:
            large = extra[4 : 4 + length]
        extra = extra[4 + length :]
    for value in fields:
        if value != IN_ZIP64:
            yield value
            continue
        if len(large) < 8:
            raise _corrupt("a zip64 size or offset is missing")
        yield int.from_bytes(large[:8], "little")
        large = large[8:]


def _name(entry: _Entry) -> str:
    # Several archivers write UTF-8 without saying so; valid UTF-8 is hardly ever meant as CP437.
    try:
        return entry.name.decode("utf-8")
    except UnicodeDecodeError as error:
        if entry.flags & FLAG_UTF8:
            raise _corrupt(f"the name {entry.name[:200]!r} is marked as UTF-8 but is not") from error
        return entry.name.decode("cp437")


def _check_kind(entry: _Entry, name: str) -> None:
    unix_kind = stat.S_IFMT(entry.attributes >> 16)
    if unix_kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        fault = "a symbolic link" if unix_kind == stat.S_IFLNK else "a special file"
    elif entry.flags & FLAG_ENCRYPTED:
        fault = "encrypted"
    elif entry.method not in (STORED, DEFLATED):
        fault = f"compressed by zip method {entry.method} (stored and deflate are read)"
    elif entry.method == STORED and entry.stored_bytes != entry.size:
        fault = "stored, yet declares two different sizes"
    else:
        return
    raise DataError(f"member {name!r} is {fault}", code="unsupported_member", member=name)


def _data_offset(file: BinaryIO, start: int, name: str) -> int:
    # Offsets beyond what a file can have are as wrong as those beyond its end.
    header = os.pread(file.fileno(), LOCAL.size, start) if start < 2**62 else b""
    if len(header) == LOCAL.size and header.startswith(b"PK\3\4"):
        *_, name_bytes, extra_bytes = LOCAL.unpack(header)
        return start + LOCAL.size + int(name_bytes) + int(extra_bytes)
    raise DataError(
        f"member {name!r} has no header at the place that the zip directory states",
        code="corrupt_archive",
        member=name,
    )


def _check_overlaps(
    file: BinaryIO, directory: tuple[int, int], starts: "array[int]", ends: "array[int]", limits: Limits
) -> None:
    """Each member's bytes end before the next header, or before the directory, begins."""
    start_N, end_N = np.frombuffer(starts, np.uint64), np.frombuffer(ends, np.uint64)
    order = np.argsort(start_N, kind="stable")
    nexts = np.append(start_N[order[1:]], np.uint64(directory[0]))[: len(order)]
    overlapping = order[end_N[order] > nexts]
    if len(overlapping):
        number = int(overlapping.min())
        entry = next(itertools.islice(_entries(file, *directory), number, None))
        name = safe_name(_name(entry), limits)
        raise DataError(
            f"member {name!r} shares bytes with another member", code="overlapping_members", member=name
        )


def _corrupt(why: str) -> DataError:
    return DataError(f"the zip directory is corrupt: {why}", code="corrupt_archive")
