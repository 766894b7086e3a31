"""What the footer of a Parquet file says of its columns, read before pyarrow sees it.

pyarrow makes 700 bytes of the 21 that a column takes in a footer, so 12 MiB of footer were gigabytes; and it
ends the process, without an exception, where a column's own metadata contradict the schema. Layout: Apache
parquet-format, `FileMetaData`.
"""

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

from core.data.containers.members import Member
from core.data.limits import MIB, check_limit
from core.data.parquet.pages import corrupt
from core.data.parquet.thrift_compact import BINARY, I32, I64, NOTHING, Compact, Each, Shape, TooManyElements
from core.data.sniff import ENCRYPTED_PARQUET_MAGIC, PARQUET_MAGIC
from core.errors import DataError

FOOTER_BYTES = 16 * MIB
#: A column of a row group takes about 12, so 8,000 row groups of three columns pass.
FOOTER_ELEMENTS = 300_000


class Chunk(NamedTuple):
    """One column of one row group; `start` is where its first page lies, a dictionary or not."""

    start: int
    length: int
    values: int


class Group(NamedTuple):
    """A row group."""

    rows: int
    chunks: list[Chunk]


@dataclass(frozen=True, kw_only=True)
class Footer:
    rows: int
    groups: list[Group]


def _chunk(fields: dict[int, Any]) -> Chunk:
    column = fields.get(3) or {}
    try:
        start, length, values = column[9], column[7], column[5]
    except KeyError as error:
        raise ValueError("a column lacks its size, its place or the number of its values") from error
    # As Arrow, which has to read files of writers that put a 0 there.
    return Chunk(column[11] if 0 < column.get(11, 0) < start else start, length, values)


def _group(fields: dict[int, Any]) -> Group:
    if 1 not in fields or 3 not in fields:
        raise ValueError("a row group lacks its columns or the number of its rows")
    return Group(fields[3], fields[1])


# Every list of the format is here, kept or not, so that its elements are of the type that they should be.
PATH = Each(BINARY)
KEY_VALUES = Each(NOTHING)
SIZE_STATISTICS = Shape({2: Each(I64), 3: Each(I64)}, lambda _: None)
GEOSPATIAL = Shape({2: Each(I32)}, lambda _: None)
COLUMN = Shape({
    2: Each(I32), 3: PATH, 5: I64, 7: I64, 8: KEY_VALUES, 9: I64, 11: I64, 13: Each(NOTHING),
    16: SIZE_STATISTICS, 17: GEOSPATIAL,
})  # fmt: skip
COLUMN_KEY = Shape({2: Shape({1: PATH}, lambda _: None)}, lambda _: None)
ROW_GROUP = Shape({1: Each(Shape({3: COLUMN, 8: COLUMN_KEY}, _chunk)), 3: I64, 4: Each(NOTHING)}, _group)
FILE = Shape({2: Each(NOTHING), 3: I64, 4: Each(ROW_GROUP), 5: KEY_VALUES, 7: Each(NOTHING)})


def read_footer(file: BinaryIO, member: Member) -> Footer:
    """Leaves the file at its start.

    Raises:
        DataError: `corrupt_parquet` or `limit_exceeded`.
    """
    file.seek(max(0, member.size - 8))
    tail = file.read(8)
    if tail[4:] == ENCRYPTED_PARQUET_MAGIC:
        raise corrupt(member.name, "its footer is encrypted")
    if len(tail) < 8 or tail[4:] != PARQUET_MAGIC:
        raise corrupt(member.name, "it does not end in a footer; is it cut short?")
    (length,) = struct.unpack("<I", tail[:4])
    check_limit("bytes of the Parquet footer", length, FOOTER_BYTES, member.name)
    if length + 12 > member.size:
        raise corrupt(member.name, f"its footer of {length:,} bytes is longer than the file")
    file.seek(member.size - 8 - length)
    try:
        fields = Compact(file.read(length), FOOTER_ELEMENTS).struct(FILE)
    except (IndexError, ValueError) as error:
        why = str(error) if isinstance(error, ValueError) else "it ends early"
        raise corrupt(member.name, f"its footer is malformed: {why}") from error
    except TooManyElements as error:
        raise DataError(
            f"the footer of {member.name!r} lists more than {FOOTER_ELEMENTS:,} elements: write the file "
            "anew with larger row groups or fewer columns, or in several files",
            code="limit_exceeded",
            limit_name="elements of the Parquet footer",
            limit=FOOTER_ELEMENTS,
            member=member.name,
        ) from error
    if 3 not in fields or 4 not in fields:
        raise corrupt(member.name, "its footer lacks the number of rows or the row groups")
    file.seek(0)
    return Footer(rows=fields[3], groups=fields[4])
