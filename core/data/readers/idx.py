"""IDX image and label files (MNIST and its kin), plain or gzip, as pairs in one zip or tar.

Layout: Y. LeCun, "The MNIST database": two zero bytes, the element type (8 = uint8), the number of
dimensions, each dimension as a big-endian 32-bit number, then the elements.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.data.containers.archive import Archive
from core.data.containers.inflate import GZIP_MAGIC, ByteStream, bounded, gunzip
from core.data.containers.members import Member
from core.data.containers.shards import split_of
from core.data.formats.array_rows import check_image_shape, stream_rows
from core.data.labels.numbered import label_names
from core.data.limits import Limits, check_limit
from core.data.source import SPLIT_NAMES, TRAIN, PixelBatch, SkippedFiles, Source
from core.errors import DataError

NAME = "idx"
ACCEPTS = "IDX image and label files in a zip or tar"
IMAGES_MAGIC = b"\0\0\x08\x03"
LABELS_MAGIC = b"\0\0\x08\x01"
# An IDX upload is a handful of files; looking into each member of a large image folder would be slow.
MOST_MEMBERS = 64
ROLE_WORDS = re.compile(r"images?|labels?|idx[0-9]|[^a-z0-9]")


@dataclass(frozen=True, kw_only=True)
class _File:
    member: Member
    shape: tuple[int, ...]

    @property
    def stem(self) -> str:
        return ROLE_WORDS.sub("", self.member.name.lower().removesuffix(".gz"))


@dataclass(frozen=True, kw_only=True)
class _Part:
    images: _File
    first_row: int
    split: int


def matches(archive: Archive) -> bool:
    """Whether a member starts as an IDX file of uint8 images does, after gzip if need be."""
    return len(archive.members) <= MOST_MEMBERS and any(
        _magic(archive, member) == IMAGES_MAGIC for member in archive.members
    )


def read(archive: Archive, limits: Limits) -> Source:
    """Pairs of image and label files; rows in file order, train first.

    A pair shares its name, apart from the words images, labels and idx; failing that, its count. "train",
    "t10k", "test" or "val" in the name is the split.

    Raises:
        DataError: `corrupt_idx`, `corrupt_array`, `label_mismatch`, `ambiguous_members`, `no_images`,
            `truncated_archive` or `limit_exceeded`.
    """
    images: list[_File] = []
    labels: list[_File] = []
    skipped = SkippedFiles()
    for member in archive.members:
        magic = _magic(archive, member)
        if magic not in (IMAGES_MAGIC, LABELS_MAGIC):
            skipped.add(member.name, "not an IDX file of uint8 images or labels")
            continue
        shape = parse_idx_header(_stream(archive, member, limits), member.name)
        (images if magic == IMAGES_MAGIC else labels).append(_File(member=member, shape=shape))

    found = sorted(((split_of(file.member.name) or TRAIN, file) for file in images), key=lambda pair: pair[0])
    parts: list[_Part] = []
    all_labels: list[NDArray[np.int64]] = []
    first_row = 0
    for split, file in found:
        if parts and parts[-1].split == split:
            raise DataError(
                f"{parts[-1].images.member.name!r} and {file.member.name!r} are both images of the "
                f"{SPLIT_NAMES[split]} split: leave one of them out",
                code="ambiguous_members",
                member=file.member.name,
            )
        count, height, width = file.shape
        check_image_shape(count, height, width, limits=limits, member=file.member.name)
        all_labels.append(_read_labels(archive, _labels_of(file, labels), limits))
        parts.append(_Part(images=file, first_row=first_row, split=split))
        first_row += count
    check_limit("images", first_row, limits.images)
    classes, labels_N = label_names(np.concatenate(all_labels), None)
    counts = [part.images.shape[0] for part in parts]
    return Source(
        source_format=NAME,
        classes=classes,
        labels_N=labels_N,
        splits_N=np.repeat(np.array([part.split for part in parts], np.uint8), counts),
        sizes_N2=np.repeat(np.array([part.images.shape[1:] for part in parts], np.int32), counts, axis=0),
        channels=1,
        skipped=skipped,
        batches=functools.partial(_batches, archive, parts, limits),
    )


def parse_idx_header(stream: ByteStream, member: str) -> tuple[int, ...]:
    """The shape of an IDX file of uint8; the stream is left at its first element.

    Raises:
        DataError: `corrupt_idx`.
    """
    magic = stream.read(4)
    if len(magic) != 4 or magic[:3] != b"\0\0\x08" or not 1 <= magic[3] <= 3:
        raise DataError(f"{member!r} is not an IDX file of uint8", code="corrupt_idx", member=member)
    sides = stream.read(4 * magic[3])
    if len(sides) != 4 * magic[3]:
        raise DataError(f"{member!r} ends inside its header", code="corrupt_idx", member=member)
    return tuple(int(side) for side in np.frombuffer(sides, ">u4"))


def _magic(archive: Archive, member: Member) -> bytes:
    head = archive.head(member, 4096)
    if not head.startswith(GZIP_MAGIC):
        return head[:4]
    try:
        return next(gunzip([head], member.name), b"")[:4]
    except DataError:
        return b""


def _stream(archive: Archive, member: Member, limits: Limits) -> ByteStream:
    if archive.head(member, 2) != GZIP_MAGIC:
        return ByteStream(archive.chunks(member))
    expanded = gunzip(archive.chunks(member), member.name)
    return ByteStream(
        bounded(
            expanded, stored_bytes=member.size, limit_name="member_bytes", limits=limits, what=member.name
        )
    )


def _labels_of(images: _File, labels: Sequence[_File]) -> _File:
    count = images.shape[0]
    same_count = [file for file in labels if file.shape[0] == count]
    same_name = [file for file in labels if file.stem == images.stem]
    for candidates in (same_name, same_count):
        if len(candidates) == 1:
            if candidates[0].shape[0] != count:
                raise DataError(
                    f"{images.member.name!r} holds {count:,} images, {candidates[0].member.name!r} "
                    f"{candidates[0].shape[0]:,} labels",
                    code="label_mismatch",
                    member=images.member.name,
                )
            return candidates[0]
    raise DataError(
        f"no label file goes with {images.member.name!r} by name or by its count of {count:,}",
        code="label_mismatch",
        member=images.member.name,
    )


def _read_labels(archive: Archive, file: _File, limits: Limits) -> NDArray[np.int64]:
    stream = _stream(archive, file.member, limits)
    (count,) = parse_idx_header(stream, file.member.name)
    data = stream.read(count)
    if len(data) != count or stream.read(1):
        raise DataError(
            f"{file.member.name!r} does not hold the {count:,} labels that its header declares",
            code="corrupt_idx",
            member=file.member.name,
        )
    return np.frombuffer(data, np.uint8).astype(np.int64)


def _batches(
    archive: Archive, parts: Sequence[_Part], limits: Limits, rows: NDArray[np.int64]
) -> Iterator[PixelBatch]:
    for part in parts:
        member = part.images.member
        stream = _stream(archive, member, limits)
        shape = parse_idx_header(stream, member.name)
        yield from stream_rows(
            stream, shape=shape, channels_first=False, first_row=part.first_row, rows=rows, member=member.name
        )
