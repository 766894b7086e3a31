"""The images and labels of one Parquet file, a few rows at a time, in memory that has a bound.

pyarrow reads through a buffered stream and never a whole column chunk; what remains is the size of a page
and what a dictionary may multiply. Both are looked up in the footer and the page headers before pyarrow sees
them. It is imported on use: it takes as long to load as all of core.data.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from core.data.containers.archive import Archive
from core.data.containers.members import Member
from core.data.limits import MIB, Limits, check_limit
from core.data.parquet.columns import Columns, find_columns
from core.data.parquet.footer import FOOTER_BYTES, FOOTER_ELEMENTS, Chunk, Footer, read_footer
from core.data.parquet.pages import column_pages, corrupt
from core.data.sniff import PARQUET_MAGIC
from core.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

BUFFER_BYTES = MIB
BATCH_BYTES = 16 * MIB
BATCH_ROWS = 256
#: pyarrow's default of 1,024 rows a page, with images as large as those of ImageNet (110 kB), passes.
PAGE_BYTES = 112 * MIB
#: A page is held compressed, by Python and by Arrow, and expanded; a dictionary page beside it.
PAGES_IN_MEMORY_BYTES = 352 * MIB
#: The most that a page holds beside its values, in all and for each of them.
LEVELS_BYTES, VALUE_HEADER_BYTES = 64 * 1024, 16
REWRITE = "write the file anew with smaller row groups (100 rows, say) or pages"


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Consecutive rows; None where the cell is null. `labels` are whole numbers or text."""

    first: int
    images: list[bytes | None]
    labels: list[int | str | None]


@dataclass(frozen=True, kw_only=True)
class _Group:
    index: int
    first: int
    count: int
    batch_rows: int


class ParquetImages:
    """An open file, its columns found. Rows are numbered from 0 over all row groups.

    Attributes:
        columns: the image and the label column.
        count: rows, as declared.
    """

    def __init__(self, file: BinaryIO, member: Member, limits: Limits) -> None:
        """Raises DataError: `corrupt_parquet`, `limit_exceeded`, or what `find_columns` raises."""
        import pyarrow.parquet as pq

        self._member = member.name
        self._limits = limits
        self._file = file
        footer = read_footer(file, member)
        with _arrow_errors(member.name):
            self._parquet = pq.ParquetFile(
                file,
                buffer_size=BUFFER_BYTES,
                pre_buffer=False,
                page_checksum_verification=True,
                thrift_string_size_limit=FOOTER_BYTES,
                thrift_container_size_limit=FOOTER_ELEMENTS,
                arrow_extensions_enabled=False,
            )
            schema = self._parquet.schema_arrow
        self.count = footer.rows
        check_limit("images", self.count, limits.images, member.name)
        self.columns: Columns = find_columns(schema, member.name, limits)
        self._groups = list(self._checked_groups(footer, member.size))

    def _checked_groups(self, footer: Footer, size: int) -> Iterator[_Group]:
        # What it says of a column is never asked of pyarrow: a contradiction in it would end the process.
        schema = self._parquet.metadata.schema
        paths = [schema.column(i).path for i in range(len(schema))]
        wanted = (self.columns.image_leaf, self.columns.label)
        if any(paths.count(path) != 1 for path in wanted):
            raise corrupt(self._member, f"{' or '.join(map(repr, wanted))} is not a single column of it")
        image, label = (paths.index(path) for path in wanted)
        first = expanded = 0
        for index, group in enumerate(footer.groups):
            if len(group.chunks) != len(paths):
                raise corrupt(
                    self._member,
                    f"row group {index} has {len(group.chunks):,} columns, the schema {len(paths):,}",
                )
            if not group.rows:
                continue  # writers differ in where they place columns of nothing
            largest = held = 0
            for leaf in (image, label):
                page, in_memory, total = self._check_pages(
                    group.chunks[leaf], group.rows, size, images=leaf == image
                )
                largest, held, expanded = max(largest, page), held + in_memory, expanded + total
            self._refuse_above("bytes of its pages in memory", held, PAGES_IN_MEMORY_BYTES)
            check_limit("member_bytes", expanded, self._limits.member_bytes, self._member)
            # Each row of a dictionary page may be its largest, so only their number bounds a batch.
            batch_rows = max(1, min(BATCH_ROWS, BATCH_BYTES // max(1, largest)))
            yield _Group(index=index, first=first, count=group.rows, batch_rows=batch_rows)
            first += group.rows
        if first != self.count:
            raise corrupt(self._member, f"its row groups hold {first:,} of its {self.count:,} rows")

    def _check_pages(self, chunk: Chunk, rows: int, size: int, *, images: bool) -> tuple[int, int, int]:
        """The largest page, the most that is in memory at once, and the sum, in bytes."""
        start, length, values = chunk
        if values != rows:
            raise corrupt(self._member, f"a column of {rows:,} rows declares {values:,} values")
        if start < len(PARQUET_MAGIC) or length < 0 or start + length > size:
            raise corrupt(self._member, "a column does not lie within the file")
        largest = most = dictionary = total = 0
        for page in column_pages(self._file, start=start, length=length, values=values, member=self._member):
            if images and page.entries:
                # Of so few values one must be too large; pyarrow would expand the page to tell.
                mean = (page.uncompressed_bytes - LEVELS_BYTES) // page.entries - VALUE_HEADER_BYTES
                check_limit("image_bytes", mean, self._limits.image_bytes, self._member)
            bigger = max(page.compressed_bytes, page.uncompressed_bytes)
            self._refuse_above("bytes of a page", bigger, PAGE_BYTES)
            if page.is_dictionary:
                dictionary += page.uncompressed_bytes
            most = max(most, 2 * page.compressed_bytes + page.uncompressed_bytes)
            largest = max(largest, bigger)
            total += page.uncompressed_bytes
        return largest, most + dictionary, total

    def _refuse_above(self, name: str, value: int, limit: int) -> None:
        if value > limit:
            raise DataError(
                f"{name} is {value:,} in {self._member!r}; the limit is {limit:,}: {REWRITE}",
                code="limit_exceeded",
                limit_name=name,
                value=value,
                limit=limit,
                member=self._member,
            )

    def rows(self, wanted: NDArray[np.int64] | None = None) -> Iterator[Rows]:
        """All rows in order; with `wanted` (ascending) only the row groups in which one of them lies.

        Raises:
            DataError: `corrupt_parquet`, or `limit_exceeded` for an image of more than `image_bytes`.
        """
        for group in self._groups:
            if wanted is not None:
                begin, end = np.searchsorted(wanted, [group.first, group.first + group.count])
                if begin == end:
                    continue
            first = group.first
            for batch in self._record_batches(group):
                yield self._rows(batch, first)
                first += batch.num_rows
            if first != group.first + group.count:
                raise corrupt(
                    self._member, f"row group {group.index} ends after {first - group.first:,} rows"
                )

    def _record_batches(self, group: _Group) -> "Iterator[pa.RecordBatch]":
        with _arrow_errors(self._member):
            batches = self._parquet.iter_batches(
                batch_size=group.batch_rows,
                row_groups=[group.index],
                columns=[self.columns.image_leaf, self.columns.label],
                use_threads=False,
            )
        while True:
            with _arrow_errors(self._member):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def _rows(self, batch: "pa.RecordBatch", first: int) -> Rows:
        images = batch.column(self.columns.image)
        if self.columns.image_leaf != self.columns.image:
            images = images.flatten()[images.type.get_field_index("bytes")]
        files: list[bytes | None] = []
        for row, scalar in enumerate(images, first):
            buffer = scalar.as_buffer() if scalar.is_valid else None
            if buffer is not None:
                check_limit(
                    "image_bytes", buffer.size, self._limits.image_bytes, f"{self._member}, row {row}"
                )
            files.append(buffer if buffer is None else buffer.to_pybytes())
        with _arrow_errors(self._member):
            return Rows(first=first, images=files, labels=batch.column(self.columns.label).to_pylist())


@contextmanager
def open_parquet(archive: Archive, member: Member, limits: Limits) -> Iterator[ParquetImages]:
    with archive.open(member) as file:
        yield ParquetImages(file, member, limits)


def read_schema(archive: Archive, member: Member) -> "pa.Schema":
    """Raises DataError `corrupt_parquet` or `limit_exceeded`."""
    import pyarrow.parquet as pq

    with archive.open(member) as file:
        read_footer(file, member)
        with _arrow_errors(member.name):
            return pq.read_schema(file)


@contextmanager
def _arrow_errors(member: str) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    # Arrow's own exceptions are subclasses of these.
    except (OSError, ValueError, KeyError, NotImplementedError, IndexError, TypeError) as error:
        raise corrupt(member, str(error).splitlines()[0][:300] if str(error) else "unreadable") from error
