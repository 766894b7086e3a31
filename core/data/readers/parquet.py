"""Parquet with an image and a label column, as the Hugging Face hub stores sets; one file or many shards.

The split is in a shard's name or folders (train-00000-of-00002.parquet, test/0000.parquet).
"""

import functools
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.data.canonical.decode import UndecodableImage, read_header
from core.data.containers.archive import Archive
from core.data.containers.inflate import check_ratio
from core.data.containers.members import Member
from core.data.containers.shards import NO_SPLIT, splits_of
from core.data.formats.image_files import in_batches, is_noise, named_as_image
from core.data.formats.parquet_columns import Columns, image_columns
from core.data.formats.parquet_file import ParquetImages, open_parquet, read_schema
from core.data.labels.numbered import label_names
from core.data.labels.text_labels import LabelIndex, class_name
from core.data.limits import Limits, check_limit
from core.data.sniff import PARQUET_MAGIC
from core.data.source import EncodedBatch, SkippedFiles, Source
from core.errors import DataError

NAME = "parquet"
ACCEPTS = "Parquet with an image and a label column, one file or shards in a zip or tar"
SUFFIXES = (".parquet", ".parq", ".pq")


@dataclass(frozen=True, kw_only=True)
class _Shard:
    """`positions` are the rows of the file that are rows of the source, from `first_row` on."""

    member: Member
    split: int
    first_row: int
    positions: NDArray[np.int64]


def matches(archive: Archive) -> bool:
    """Whether there is a Parquet file with a column for images, or one and no image file beside it."""
    shards = _shards(archive)
    if not shards:
        return False
    if not any(named_as_image(member.name) for member in archive.members):
        return True
    try:
        return bool(image_columns(read_schema(archive, shards[0])))
    except DataError:
        return False


def read(archive: Archive, limits: Limits) -> Source:
    """Rows in the order of split, shard and row; those without an image or a label are skipped.

    A label is a whole number, named by the metadata's ClassLabel or by itself, or a text. A ClassLabel of -1
    is none. All shards must agree in the kind and names of their labels.

    Raises:
        DataError: `corrupt_parquet`, `ambiguous_columns`, `no_image_column`, `no_label_column`,
            `unsupported_dtype`, `label_mismatch`, `unsafe_class_name` or `limit_exceeded`.
    """
    skipped = SkippedFiles()
    members = _shards(archive)
    others = set(archive.members) - set(members)
    for member in sorted(others, key=lambda member: member.name):
        if not is_noise(member):
            skipped.add(member.name, "not a Parquet file")
    found = _Found(limits)
    shards: list[_Shard] = []
    placed = list(zip(splits_of([member.name for member in members]), members, strict=True))
    for split, member in sorted(placed, key=lambda pair: (pair[0] is None, pair[0], pair[1].name)):
        if split is None:
            skipped.add(member.name, NO_SPLIT)
            continue
        first_row = len(found.labels)
        with open_parquet(archive, member, limits) as parquet:
            positions = found.add(parquet, member, skipped)
        shards.append(_Shard(member=member, split=split, first_row=first_row, positions=positions))
    classes, labels_N = found.classes()
    counts = [len(shard.positions) for shard in shards]
    return Source(
        source_format=NAME,
        classes=classes,
        labels_N=labels_N,
        splits_N=np.repeat(np.array([shard.split for shard in shards], np.uint8), counts),
        sizes_N2=np.frombuffer(found.sizes, np.int32).reshape(-1, 2),
        channels=found.channels,
        skipped=skipped,
        batches=functools.partial(_batches, archive, shards, limits),
    )


def _shards(archive: Archive) -> list[Member]:
    """By content, and by name unless it is the upload itself."""
    return [
        member
        for member in archive.members
        if (archive.container == "file" or member.name.lower().endswith(SUFFIXES))
        and not is_noise(member)
        and archive.head(member, 4) == PARQUET_MAGIC
    ]


class _Found:
    """Labels, sizes and channels over the shards, as compact as their number demands."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._first: tuple[Columns, str] | None = None
        self._text: bool | None = None
        self._index = LabelIndex(limits)
        self._image_bytes = 0
        self.labels = array("q")
        self.sizes = array("i")
        self.channels = 1

    def add(self, parquet: ParquetImages, member: Member, skipped: SkippedFiles) -> NDArray[np.int64]:
        """The positions of the rows that can be used."""
        self._check_alike(parquet.columns, member.name)
        positions = array("q")
        shard_bytes = 0
        for rows in parquet.rows():
            for position, (image, label) in enumerate(zip(rows.images, rows.labels, strict=True), rows.first):
                name = _row_name(member, position)
                value = self._label(label, member.name)
                if image is None or value is None:
                    skipped.add(name, "no image bytes" if image is None else "no label")
                    continue
                shard_bytes += len(image)
                check_limit("member_bytes", shard_bytes, self._limits.member_bytes, member.name)
                check_ratio(shard_bytes, stored_bytes=member.size, limits=self._limits, what=member.name)
                try:
                    header = read_header(image, name=name, limits=self._limits)
                except UndecodableImage as error:
                    skipped.add(name, str(error))
                    continue
                self.channels = self.channels if header.grey else 3
                self.sizes.extend((header.height, header.width))
                self.labels.append(value)
                positions.append(position)
        self._image_bytes += shard_bytes
        check_limit("expanded_bytes", self._image_bytes, self._limits.expanded_bytes, member.name)
        check_limit("images", len(self.labels), self._limits.images, member.name)
        return np.frombuffer(positions, np.int64)

    def _check_alike(self, columns: Columns, member: str) -> None:
        first, holder = self._first = self._first or (columns, member)
        if columns.names != first.names:
            raise DataError(
                f"the class names in the metadata of {member!r} are not those of {holder!r}",
                code="label_mismatch",
                member=member,
            )

    def _label(self, label: int | str | None, member: str) -> int | None:
        assert self._first is not None
        names = self._first[0].names
        if label is None or (names is not None and label == -1):
            return None
        text = isinstance(label, str)
        if self._text is None:
            self._text = text
        if text != self._text:
            raise DataError(
                f"labels must be all text or all whole numbers: {member!r} mixes them with those before",
                code="label_mismatch",
                member=member,
            )
        if names is not None:
            if text or not 0 <= int(label) < len(names):
                raise DataError(
                    f"{member!r} holds the label {str(label)[:100]!r}; there are {len(names)} class names",
                    code="label_mismatch",
                    member=member,
                    value=str(label)[:100],
                    limit=len(names),
                )
            return int(label)
        name = (
            class_name(label, member=member, limits=self._limits)
            if isinstance(label, str)
            else str(int(label))
        )
        return self._index.add(name, member) if name else None

    def classes(self) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        labels_N = np.frombuffer(self.labels, np.int64)
        names = self._first[0].names if self._first else None
        return self._index.sort(labels_N) if names is None else label_names(labels_N, names)


def _row_name(member: Member, position: int) -> str:
    return f"{member.name}, row {position}"


def _batches(
    archive: Archive, shards: Sequence[_Shard], limits: Limits, rows: NDArray[np.int64]
) -> Iterator[EncodedBatch]:
    return in_batches(_images(archive, shards, limits, rows))


def _images(
    archive: Archive, shards: Sequence[_Shard], limits: Limits, rows: NDArray[np.int64]
) -> Iterator[tuple[int, str, bytes]]:
    for shard in shards:
        begin, end = np.searchsorted(rows, [shard.first_row, shard.first_row + len(shard.positions)])
        if begin == end:
            continue
        chosen = rows[begin:end]
        wanted = shard.positions[chosen - shard.first_row]
        with open_parquet(archive, shard.member, limits) as parquet:
            for block in parquet.rows(wanted):
                start, stop = np.searchsorted(wanted, [block.first, block.first + len(block.images)])
                for at in range(start, stop):
                    position = int(wanted[at])
                    image = block.images[position - block.first]
                    assert image is not None
                    yield int(chosen[at]), _row_name(shard.member, position), image
