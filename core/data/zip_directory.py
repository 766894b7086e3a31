"""The member list of a zip, checked before any member is read."""

import itertools
import stat
import struct
import zipfile
from typing import BinaryIO

from core.data.inflate import truncated
from core.data.limits import Limits, check_limit
from core.data.members import Member, safe_name
from core.errors import DataError

END = struct.Struct("<4s4H2LH")
END64_LOCATOR_BYTES = 20
END64 = struct.Struct("<4sQ2H2L4Q")
LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL_BYTES = 46
COMMENT_BYTES = 65535
FLAG_ENCRYPTED = 0x1
FLAG_UTF8 = 0x800


def list_zip(file: BinaryIO, limits: Limits) -> list[Member]:
    """The regular files of a zip, in the order of its directory.

    Raises:
        DataError: `truncated_archive`, `corrupt_archive`, `unsupported_member`, `overlapping_members`,
            `unsafe_member_name` or `limit_exceeded`.
    """
    _check_directory_size(file, limits)
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, OSError) as error:
        raise DataError(f"the zip directory is corrupt: {error}", code="corrupt_archive") from error
    with archive:
        infos = archive.infolist()
        check_limit("members", len(infos), limits.members)
        return _members(file, infos, archive.start_dir, limits)


def _check_directory_size(file: BinaryIO, limits: Limits) -> None:
    """Bound what zipfile is about to hold in memory: it lists the whole directory when it opens."""
    length = file.seek(0, 2)
    tail_at = max(0, length - END.size - COMMENT_BYTES)
    file.seek(tail_at)
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < END.size:
        raise truncated("the zip archive")
    size = END.unpack_from(tail, at)[5]
    at64 = tail_at + at - END64_LOCATOR_BYTES - END64.size
    if at64 >= 0:
        file.seek(at64)
        block = file.read(END64.size + 4)
        if block[END64.size :] == b"PK\6\7" and block[:4] == b"PK\6\6":
            size = END64.unpack_from(block)[8]
    # The shortest possible entry bounds their number; the longest name allowed bounds their bytes.
    check_limit(
        "bytes of the zip directory", size, limits.members * (CENTRAL_BYTES + min(limits.name_bytes, 256))
    )


def _members(file: BinaryIO, infos: list[zipfile.ZipInfo], directory_at: int, limits: Limits) -> list[Member]:
    ordered = sorted(infos, key=lambda info: info.header_offset)
    next_at = {id(info): following.header_offset for info, following in itertools.pairwise(ordered)}
    members = []
    for info in infos:
        name = safe_name(_name(info), limits)
        _check_kind(info, name)
        data_at = _data_offset(file, info, name)
        if data_at + info.compress_size > next_at.get(id(info), directory_at):
            raise DataError(
                f"member {name!r} shares bytes with another member", code="overlapping_members", member=name
            )
        if not info.is_dir():
            members.append(
                Member(
                    name=name,
                    offset=data_at,
                    stored_bytes=info.compress_size,
                    size=info.file_size,
                    deflated=info.compress_type == zipfile.ZIP_DEFLATED,
                    crc=info.CRC,
                )
            )
    return members


def _name(info: zipfile.ZipInfo) -> str:
    # `filename` is cut at a NUL, `orig_filename` is not.
    raw = info.orig_filename
    if not info.flag_bits & FLAG_UTF8:
        # Several archivers write UTF-8 without saying so; valid UTF-8 is hardly ever meant as CP437.
        try:
            return raw.encode("cp437").decode("utf-8")
        except UnicodeError:
            return raw
    return raw


def _check_kind(info: zipfile.ZipInfo, name: str) -> None:
    unix_kind = stat.S_IFMT(info.external_attr >> 16)
    if unix_kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        fault = "a symbolic link" if unix_kind == stat.S_IFLNK else "a special file"
    elif info.flag_bits & FLAG_ENCRYPTED:
        fault = "encrypted"
    elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        fault = f"compressed by zip method {info.compress_type} (stored and deflate are read)"
    elif info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
        fault = "stored, yet declares two different sizes"
    else:
        return
    raise DataError(f"member {name!r} is {fault}", code="unsupported_member", member=name)


def _data_offset(file: BinaryIO, info: zipfile.ZipInfo, name: str) -> int:
    if info.header_offset >= 0:
        file.seek(info.header_offset)
        header = file.read(LOCAL.size)
        if len(header) == LOCAL.size and header[:4] == b"PK\3\4":
            *_, name_bytes, extra_bytes = LOCAL.unpack(header)
            return info.header_offset + LOCAL.size + int(name_bytes) + int(extra_bytes)
    raise DataError(
        f"member {name!r} has no header where the directory says", code="corrupt_archive", member=name
    )
