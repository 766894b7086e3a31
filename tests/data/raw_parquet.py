"""A Parquet file taken apart into its pages and its footer, so that either can lie and the other fits."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tests.data.thrift import BINARY, Struct, read, write

MAGIC = b"PAR1"
# Fields of parquet.thrift.
SCHEMA, ROWS, ROW_GROUPS, KEY_VALUES = 2, 3, 4, 5
COLUMNS, GROUP_ROWS = 1, 3
META = 3
ENCODINGS, PATH, CODEC, VALUES, UNCOMPRESSED, COMPRESSED = 2, 3, 4, 5, 6, 7
DATA_AT, DICTIONARY_AT = 9, 11
PAGE_TYPE, PAGE_UNCOMPRESSED, PAGE_COMPRESSED, PAGE_CRC, DATA_PAGE, DICTIONARY_PAGE, DATA_PAGE_2 = (
    1,
    2,
    3,
    4,
    5,
    7,
    8,
)
PAGE_VALUES, PAGE_ENCODING = 1, 2


@dataclass
class Page:
    header: Struct
    body: bytes


@dataclass
class Parquet:
    """`chunks` are the pages of each column of each row group, in the order of the footer."""

    chunks: list[list[Page]]
    footer: Struct

    def columns(self) -> Iterator[Struct]:
        """The footer's ColumnMetaData, in the order of `chunks`."""
        for group in self.footer[ROW_GROUPS].values:
            for column in group[COLUMNS].values:
                yield column[META]


def take_apart(data: bytes) -> Parquet:
    """Of a whole and honest file; of others anything may be raised."""
    (length,) = struct.unpack("<I", data[-8:-4])
    footer, _ = read(data[-8 - length : -8])
    parts = Parquet([], footer)
    for column in parts.columns():
        at = column[DICTIONARY_AT] if DICTIONARY_AT in column else column[DATA_AT]
        end = at + column[COMPRESSED]
        pages = []
        while at < end:
            header, body = read(data, at)
            if header[PAGE_COMPRESSED] < 0:
                raise ValueError("a page of a negative size")
            at = body + header[PAGE_COMPRESSED]
            pages.append(Page(header, data[body:at]))
        parts.chunks.append(pages)
    return parts


def lay_out(parts: Parquet) -> bytes:
    """The pages one after the other; the footer's offsets and sizes of columns are set to where they lie."""
    data = bytearray(MAGIC)
    for column, pages in zip(parts.columns(), parts.chunks, strict=True):
        start = len(data)
        first_data = None
        for page in pages:
            if DICTIONARY_PAGE not in page.header and first_data is None:
                first_data = len(data)
            data += write(page.header) + page.body
        column[DATA_AT] = start if first_data is None else first_data
        if DICTIONARY_AT in column:
            column[DICTIONARY_AT] = start
        column[COMPRESSED] = len(data) - start
    return bytes(data)


def put_together(parts: Parquet) -> bytes:
    """The file, with sizes and offsets that fit."""
    return with_footer(lay_out(parts), write(parts.footer))


def with_footer(pages: bytes, footer: bytes, length: int | None = None) -> bytes:
    return pages + footer + struct.pack("<I", len(footer) if length is None else length) + MAGIC


def key_value(key: bytes, value: bytes) -> Struct:
    return Struct([[1, BINARY, key], [2, BINARY, value]])
