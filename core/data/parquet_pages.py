"""How large the pages of a Parquet column really are, from their own headers.

A reader of Parquet holds one page at a time, compressed and expanded, and allocates what the page's
header declares; pyarrow has no limit for that, and what the footer says of a column need not be true. So the
headers are walked first. Layout: Apache parquet-format, `PageHeader` in Thrift's compact protocol.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from core.errors import DataError

PAGE_HEADER_BYTES = 64 * 1024
USUAL_HEADER_BYTES = 512
DEPTH = 8
BOOLEANS, INTEGERS, BINARY, LISTS, STRUCT = (1, 2), (4, 5, 6), 8, (9, 10), 12
WIDTHS = {3: 1, 7: 8}
# Fields of PageHeader, and of each kind of page within it.
UNCOMPRESSED, COMPRESSED, VALUES = 2, 3, 1
DATA_PAGES = (5, 8)


@dataclass(frozen=True, kw_only=True)
class Page:
    """`values` counts rows for a column that is not repeated; 0 for a dictionary or index page."""

    compressed_bytes: int
    uncompressed_bytes: int
    values: int


def column_pages(file: BinaryIO, *, start: int, length: int, values: int, member: str) -> Iterator[Page]:
    """The pages of one column chunk, until they hold `values` values: as far as a reader reads.

    Raises:
        DataError: `corrupt_parquet` if a header is malformed or the pages do not fit into the chunk.
    """
    end = start + length
    seen = 0
    while seen < values:
        if start >= end:
            raise corrupt(member, f"a column declares {values:,} values and has pages for {seen:,}")
        page, header_bytes = _read_header(file, start, end, member)
        start += header_bytes + page.compressed_bytes
        if start > end:
            raise corrupt(member, f"a page of {page.compressed_bytes:,} bytes reaches past its column")
        seen += page.values
        yield page


def corrupt(member: str, why: str) -> DataError:
    return DataError(f"{member!r} is not usable Parquet: {why}", code="corrupt_parquet", member=member)


def _read_header(file: BinaryIO, start: int, end: int, member: str) -> tuple[Page, int]:
    for most in (USUAL_HEADER_BYTES, PAGE_HEADER_BYTES):
        file.seek(start)
        compact = _Compact(file.read(min(most, end - start)))
        try:
            fields = compact.struct()
        except IndexError:
            continue
        except ValueError as error:
            raise corrupt(member, f"the page header at byte {start:,} is malformed: {error}") from error
        compressed, uncompressed = fields.get(COMPRESSED), fields.get(UNCOMPRESSED)
        kinds = [fields[field] for field in DATA_PAGES if field in fields]
        counts = [kind.get(VALUES) if isinstance(kind, dict) else None for kind in kinds]
        numbers = [compressed, uncompressed, *counts]
        if len(counts) > 1 or not all(isinstance(number, int) and number >= 0 for number in numbers):
            raise corrupt(member, f"the page header at byte {start:,} lacks a size or has a negative one")
        assert isinstance(compressed, int) and isinstance(uncompressed, int)
        page = Page(
            compressed_bytes=compressed,
            uncompressed_bytes=uncompressed,
            values=sum(count for count in counts if isinstance(count, int)),
        )
        return page, compact.position
    raise corrupt(
        member, f"the page header at byte {start:,} is cut short or longer than {PAGE_HEADER_BYTES:,} bytes"
    )


class _Compact:
    """Thrift's compact protocol, as far as page headers use it: integers are kept, the rest is passed over.

    Raises IndexError where the data ends early.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def struct(self, depth: int = 0) -> dict[int, object]:
        if depth > DEPTH:
            raise ValueError("nested too deep")
        fields: dict[int, object] = {}
        field = 0
        while header := self._byte():
            field = field + (header >> 4) if header >> 4 else self._integer()
            fields[field] = self._value(header & 15, depth)
        return fields

    def _value(self, kind: int, depth: int, *, in_list: bool = False) -> object:
        if kind in INTEGERS:
            return self._integer()
        if kind == STRUCT:
            return self.struct(depth + 1)
        if kind in LISTS:
            header = self._byte()
            for _ in range(self._varint() if header >> 4 == 15 else header >> 4):
                self._value(header & 15, depth, in_list=True)
        elif kind in BOOLEANS:
            # In a field its type is its value; in a list it is a byte of its own.
            self._skip(1 if in_list else 0)
        elif kind in WIDTHS:
            self._skip(WIDTHS[kind])
        elif kind == BINARY:
            self._skip(self._varint())
        else:
            # Page headers have no maps.
            raise ValueError(f"unknown type {kind}")
        return None

    def _byte(self) -> int:
        self.position += 1
        return self._data[self.position - 1]

    def _skip(self, count: int) -> None:
        self.position += count
        if self.position > len(self._data):
            raise IndexError

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise ValueError("a number of more than 64 bits")

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
