"""The images and labels of one Parquet file, a few rows at a time.

pyarrow reads through a buffered stream, and never a whole column chunk; what it then holds is a page and what
a dictionary multiplies. What a file may make it take is bounded by the memory of the process
(core/data/process_limits.py); what a file declares is counted as it is read. pyarrow is imported on use: it
takes as long to load as all of core.data.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from core.data.containers.archive import Archive
from core.data.containers.members import Member
from core.data.formats.parquet_columns import Columns, find_columns
from core.data.limits import MIB, Limits, check_limit
from core.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BUFFER_BYTES = MIB
BATCH_BYTES = 16 * MIB
BATCH_ROWS = 64
#: Of one text, and entries of one list, in the footer and in page headers: a row group is 100 rows or more.
THRIFT_TEXT_BYTES = 16 * MIB
THRIFT_ENTRIES = 50_000


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
        with _arrow_errors(member.name):
            self._parquet = pq.ParquetFile(
                file,
                buffer_size=BUFFER_BYTES,
                pre_buffer=False,
                page_checksum_verification=True,
                thrift_string_size_limit=THRIFT_TEXT_BYTES,
                thrift_container_size_limit=THRIFT_ENTRIES,
                arrow_extensions_enabled=False,
            )
            schema, metadata = self._parquet.schema_arrow, self._parquet.metadata
        self.count: int = metadata.num_rows
        check_limit("images", self.count, limits.images, member.name)
        self.columns: Columns = find_columns(schema, member.name, limits)
        self._groups = list(self._checked_groups(metadata))

    def _checked_groups(self, metadata: "pq.FileMetaData") -> Iterator[_Group]:
        # Nothing is asked of a column's metadata: where it contradicts the schema, pyarrow ends the process.
        paths = [metadata.schema.column(i).path for i in range(len(metadata.schema))]
        wanted = (self.columns.image_leaf, self.columns.label)
        if any(paths.count(path) != 1 for path in wanted):
            raise corrupt(self._member, f"it must have one column each at {' and '.join(map(repr, wanted))}")
        first = 0
        for index in range(metadata.num_row_groups):
            with _arrow_errors(self._member):
                group = metadata.row_group(index)
                count, size = group.num_rows, group.total_byte_size
            if not 0 <= count <= self.count - first:
                raise corrupt(self._member, f"row group {index} holds {count:,} of its {self.count:,} rows")
            if count:
                # What is declared of its size only spares memory where it is true.
                batch_rows = max(1, min(BATCH_ROWS, BATCH_BYTES * count // max(1, size)))
                yield _Group(index=index, first=first, count=count, batch_rows=batch_rows)
            first += count
        if first != self.count:
            raise corrupt(self._member, f"its row groups hold {first:,} of its {self.count:,} rows")

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
    """Raises DataError `corrupt_parquet`."""
    import pyarrow.parquet as pq

    with archive.open(member) as file, _arrow_errors(member.name):
        return pq.read_schema(file)


def corrupt(member: str, why: str) -> DataError:
    return DataError(f"{member!r} is not usable Parquet: {why}", code="corrupt_parquet", member=member)


@contextmanager
def _arrow_errors(member: str) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    # Arrow's own exceptions are subclasses of these.
    except (OSError, ValueError, KeyError, NotImplementedError, IndexError, TypeError) as error:
        raise corrupt(member, str(error).splitlines()[0][:300] if str(error) else "unreadable") from error
