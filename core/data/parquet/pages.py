"""How large the pages of a Parquet column really are, from their own headers.

A reader of Parquet holds one page at a time, compressed and expanded, and allocates what the page's
header declares; pyarrow has no limit for that, and what the footer says of a column need not be true. So the
headers are walked first. Layout: Apache parquet-format, `PageHeader` in Thrift's compact protocol.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from core.data.parquet.thrift_compact import I32, Compact, Shape, TooManyElements
from core.errors import DataError

PAGE_HEADER_BYTES = 64 * 1024
USUAL_HEADER_BYTES = 512
HEADER_ELEMENTS = 1000
KIND, UNCOMPRESSED, COMPRESSED, VALUES = 1, 2, 3, 1
DATA, DICTIONARY, DATA_2 = 0, 2, 3
#: The field that holds the details of each kind of page.
DETAILS = {DATA: 5, DICTIONARY: 7, DATA_2: 8}
HEADER = Shape(
    {KIND: I32, UNCOMPRESSED: I32, COMPRESSED: I32, **{at: Shape({VALUES: I32}) for at in DETAILS.values()}}
)


@dataclass(frozen=True, kw_only=True)
class Page:
    """`entries` are rows, for a column that is not repeated, or the values of a dictionary."""

    compressed_bytes: int
    uncompressed_bytes: int
    entries: int
    is_dictionary: bool


def column_pages(file: BinaryIO, *, start: int, length: int, values: int, member: str) -> Iterator[Page]:
    """The pages of one column chunk, until they hold `values` values: as far as a reader reads.

    Raises:
        DataError: `corrupt_parquet` if a header is malformed or the pages do not fit into the chunk.
    """
    end = start + length
    seen = 0
    first = start
    while seen < values:
        if start >= end:
            raise corrupt(member, f"a column declares {values:,} values and has pages for {seen:,}")
        page, header_bytes = _read_header(file, start, end, member)
        if page.is_dictionary and start > first:
            raise corrupt(member, f"the dictionary at byte {start:,} is not the first page of its column")
        start += header_bytes + page.compressed_bytes
        if start > end:
            raise corrupt(member, f"a page of {page.compressed_bytes:,} bytes reaches past its column")
        seen += 0 if page.is_dictionary else page.entries
        yield page


def corrupt(member: str, why: str) -> DataError:
    return DataError(f"{member!r} is not usable Parquet: {why}", code="corrupt_parquet", member=member)


def _read_header(file: BinaryIO, start: int, end: int, member: str) -> tuple[Page, int]:
    for most in (USUAL_HEADER_BYTES, PAGE_HEADER_BYTES):
        file.seek(start)
        compact = Compact(file.read(min(most, end - start)), HEADER_ELEMENTS)
        try:
            fields = compact.struct(HEADER)
        except IndexError:
            continue
        except (ValueError, TooManyElements) as error:
            why = str(error) or "too many elements"
            raise corrupt(member, f"the page header at byte {start:,} is malformed: {why}") from error
        kind = fields.get(KIND)
        details = [at for at in DETAILS.values() if at in fields]
        # A reader goes by the kind, and takes the details for zeros where they are another kind's.
        if kind not in DETAILS or details != [DETAILS[kind]]:
            raise corrupt(
                member, f"the page header at byte {start:,} is not that of a data or dictionary page"
            )
        numbers = [fields.get(COMPRESSED), fields.get(UNCOMPRESSED), fields[details[0]].get(VALUES)]
        if any(number is None or number < 0 for number in numbers):
            raise corrupt(member, f"the page header at byte {start:,} lacks a size or has a negative one")
        if kind == DICTIONARY and numbers[2] > numbers[1]:
            # Memory is taken for as many as it says.
            raise corrupt(member, f"a dictionary declares {numbers[2]:,} values in {numbers[1]:,} bytes")
        page = Page(
            compressed_bytes=numbers[0],
            uncompressed_bytes=numbers[1],
            entries=numbers[2],
            is_dictionary=kind == DICTIONARY,
        )
        return page, compact.position
    raise corrupt(
        member, f"the page header at byte {start:,} is cut short or longer than {PAGE_HEADER_BYTES:,} bytes"
    )
