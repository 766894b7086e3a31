"""A zip written field by field, so that any of them can lie."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s6H3L5H2L")
END = struct.Struct("<4s4H2LH")
STORED, DEFLATED = 0, 8
UTF8 = 0x800


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A member; what is None is as it should be.

    Attributes:
        stored: its bytes as they lie in the file.
        size, crc: of the expanded bytes, as declared.
        stored_size: declared length of `stored`.
        offset: where the directory says that its header is.
        shares: it has no header and bytes of its own.
    """

    name: bytes
    stored: bytes = b""
    method: int = STORED
    size: int | None = None
    crc: int | None = None
    stored_size: int | None = None
    flags: int = UTF8
    mode: int = 0
    extra: bytes = b""
    offset: int | None = None
    shares: bool = False

    @property
    def sizes(self) -> tuple[int, int, int]:
        """CRC, stored and expanded size, as declared."""
        crc = zlib.crc32(self.stored) if self.crc is None else self.crc
        stored_size = len(self.stored) if self.stored_size is None else self.stored_size
        return crc, stored_size, len(self.stored) if self.size is None else self.size

    def header(self) -> bytes:
        fields = (20, self.flags, self.method, 0, 0, *self.sizes, len(self.name), 0)
        return LOCAL.pack(b"PK\3\4", *fields) + self.name

    def in_directory(self, offset: int) -> bytes:
        lengths = (len(self.name), len(self.extra), 0, 0, 0)
        made_by = 3 << 8 | 20  # Unix
        fields = (made_by, 20, self.flags, self.method, 0, 0, *self.sizes, *lengths, self.mode << 16, offset)
        return CENTRAL.pack(b"PK\1\2", *fields) + self.name + self.extra


def deflate(data: bytes) -> bytes:
    """A raw deflate stream, as a zip member has it."""
    engine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return engine.compress(data) + engine.flush()


def deflated(name: bytes, data: bytes) -> Entry:
    return Entry(name=name, stored=deflate(data), method=DEFLATED, size=len(data), crc=zlib.crc32(data))


def raw_zip(
    entries: Sequence[Entry],
    *,
    count: int | None = None,
    directory_bytes: int | None = None,
    directory_at: int | None = None,
    before_end: bytes = b"",
) -> bytes:
    """The archive; the other arguments are what its last record says, where that is a lie."""
    body, directory = b"", b""
    for entry in entries:
        at = len(body) if entry.offset is None else entry.offset
        if not entry.shares:
            body += entry.header() + entry.stored
        directory += entry.in_directory(at)
    count = len(entries) if count is None else count
    length = len(directory) if directory_bytes is None else directory_bytes
    start = len(body) if directory_at is None else directory_at
    end = END.pack(b"PK\5\6", 0, 0, count, count, length, start, 0)
    return body + directory + before_end + end
