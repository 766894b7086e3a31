"""The member list of an uncompressed tar.

Written out rather than taken from tarfile: that module reads extension headers of any length into
memory, follows sparse maps, and has had a string of advisories for what it then does with links.
Here a header is 512 bytes, an extension header is at most 64 KiB, and everything but a regular file
or a folder is refused. Layout: POSIX.1-2001 pax and the GNU long-name extension.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from core.data.containers.inflate import truncated
from core.data.containers.members import Member, safe_name
from core.data.limits import Limits, check_limit
from core.errors import DataError

BLOCK = 512
EXTENSION_BYTES = 64 * 1024
REGULAR = (b"0", b"\0", b"7")
DIRECTORY = b"5"
PAX_MEMBER = (b"x", b"X")
PAX_GLOBAL = b"g"
GNU_LONG_NAME = b"L"
GNU_LONG_LINK = b"K"
REFUSED = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a named pipe",
    b"S": "a sparse file",
}


@dataclass(frozen=True, slots=True)
class _Header:
    name: bytes
    size: int
    kind: bytes


def is_tar_header(block: bytes) -> bool:
    """Whether the block's checksum holds, which also knows tars older than the `ustar` mark."""
    try:
        return len(block) == BLOCK and any(block) and _number(block[148:156]) == _checksum(block)
    except ValueError:
        return False


def _checksum(block: bytes) -> int:
    return sum(block[:148]) + 8 * ord(" ") + sum(block[156:])


def _number(field: bytes) -> int:
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    if field[0] & 0x80:
        raise ValueError("a number is negative")
    digits = field.strip(b" \0")
    if digits and not digits.isdigit():
        raise ValueError("a number is not octal")
    return int(digits or b"0", 8)


def _parse(block: bytes, position: int) -> _Header:
    try:
        if _number(block[148:156]) != _checksum(block):
            raise ValueError("its checksum does not match")
        size = _number(block[124:136])
    except ValueError as error:
        raise DataError(
            f"tar header at byte {position} is corrupt: {error}", code="corrupt_archive"
        ) from error
    name = block[:100].split(b"\0", 1)[0]
    if block[257:263] == b"ustar\0":
        prefix = block[345:500].split(b"\0", 1)[0]
        name = prefix + b"/" + name if prefix else name
    return _Header(name=name, size=size, kind=block[156:157])


def _pax_records(payload: bytes) -> Iterator[tuple[bytes, bytes]]:
    while payload.strip(b"\0"):
        digits, space, _ = payload.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 8 else 0
        record = payload[len(digits) + 1 : length]
        key, equals, value = record.partition(b"=")
        if length > len(payload) or not (space and equals and record.endswith(b"\n")):
            raise DataError("a tar extension header is corrupt", code="corrupt_archive")
        yield key, value[:-1]
        payload = payload[length:]


def list_tar(file: BinaryIO, limits: Limits) -> list[Member]:
    """The regular files of a tar, in its order.

    Raises:
        DataError: `truncated_archive`, `corrupt_archive`, `unsupported_member`, `unsafe_member_name`
            or `limit_exceeded`.
    """
    end = file.seek(0, 2)
    members: list[Member] = []
    position = headers = entries = 0
    long_name: bytes | None = None
    long_size: int | None = None
    while True:
        file.seek(position)
        block = file.read(BLOCK)
        if len(block) < BLOCK:
            raise truncated("the tar archive")
        if not any(block):
            return members
        headers += 1
        check_limit("members (tar headers)", headers, 4 * limits.members)
        header = _parse(block, position)
        size = header.size if long_size is None or header.kind not in REGULAR else long_size
        data = position + BLOCK
        position = data + -(-size // BLOCK) * BLOCK
        if data + size > end:
            raise truncated("the tar archive")
        if header.kind in (*PAX_MEMBER, PAX_GLOBAL, GNU_LONG_NAME, GNU_LONG_LINK):
            check_limit("bytes of a tar extension header", size, EXTENSION_BYTES)
            file.seek(data)
            payload = file.read(size)
            if header.kind == GNU_LONG_NAME:
                long_name = payload.removesuffix(b"\0")
            elif header.kind in PAX_MEMBER:
                long_name, long_size = _pax_overrides(payload, long_name)
            continue
        name = safe_name(_decode(header.name if long_name is None else long_name), limits)
        long_name = long_size = None
        if header.kind not in (*REGULAR, DIRECTORY):
            what = REFUSED.get(header.kind, f"of the unknown type {header.kind!r}")
            raise DataError(
                f"member {name!r} is {what}; only regular files are read",
                code="unsupported_member",
                member=name,
            )
        entries += 1
        check_limit("members", entries, limits.members)
        # Before POSIX a folder was a regular file whose name ends in a slash.
        if header.kind != DIRECTORY and not header.name.endswith(b"/"):
            members.append(Member(name=name, offset=data, stored_bytes=size, size=size))


def _pax_overrides(payload: bytes, name: bytes | None) -> tuple[bytes | None, int | None]:
    size: int | None = None
    for key, value in _pax_records(payload):
        if key == b"path":
            name = value
        elif key == b"size":
            if not value.isdigit() or len(value) > 19:
                raise DataError(
                    f"a tar extension header gives the size {value[:40]!r}, which is not a whole number",
                    code="corrupt_archive",
                )
            size = int(value)
        elif key.startswith(b"GNU.sparse."):
            raise DataError(
                "a member is a sparse file; only regular files are read", code="unsupported_member"
            )
    return name, size


def _decode(name: bytes) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError as error:
        shown = name[:200].decode("utf-8", "backslashreplace")
        raise DataError(
            f"member name {shown!r} is not UTF-8", code="unsafe_member_name", member=shown
        ) from error
