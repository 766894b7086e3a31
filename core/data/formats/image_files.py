"""Image files in an archive: their headers, and their bytes in batches for decoding."""

import functools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from core.data.canonical.decode import Header, UndecodableImage, read_header
from core.data.containers.archive import Archive
from core.data.containers.members import Member
from core.data.limits import Limits, check_limit
from core.data.sniff import is_image
from core.data.source import BATCH_ROWS, EncodedBatch, SkippedFiles, Source
from core.errors import DataError

BATCH_BYTES = 16 * 1024**2
HEADER_BYTES = 256 * 1024
NOISE = ("thumbs.db", "desktop.ini", "__macosx")
IMAGE_SUFFIXES = ("png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff")


def is_noise(member: Member) -> bool:
    """Whether it is a hidden file or one that an operating system left, or lies in such a folder."""
    return any(part.startswith(".") or part.lower() in NOISE for part in member.name.split("/"))


def named_as_image(name: str) -> bool:
    """By its suffix, in any case."""
    return name.rpartition(".")[2].lower() in IMAGE_SUFFIXES


def readable_images(
    archive: Archive, members: Iterable[Member], skipped: SkippedFiles, limits: Limits
) -> Iterator[tuple[Member, Header]]:
    """The images among the members. Others are skipped with a reason, hidden and system files silently.

    Raises:
        DataError: `limit_exceeded` for an image of too many bytes or pixels.
    """
    for member in members:
        if is_noise(member):
            continue
        try:
            header = _header(archive, member, limits)
        except UndecodableImage as error:
            skipped.add(member.name, str(error))
        except DataError as error:
            if error.code != "corrupt_member":
                raise
            skipped.add(member.name, "corrupt in the archive")
        else:
            yield member, header


def _header(archive: Archive, member: Member, limits: Limits) -> Header:
    head = archive.head(member, HEADER_BYTES)
    try:
        header = read_header(head, name=member.name, limits=limits)
    except UndecodableImage:
        # Some writers put the size behind the pixels or behind a long preamble.
        if not is_image(head[:12]) or len(head) < HEADER_BYTES:
            raise
        check_limit("image_bytes", member.size, limits.image_bytes, member.name)
        header = read_header(archive.read(member), name=member.name, limits=limits)
    check_limit("image_bytes", member.size, limits.image_bytes, member.name)
    return header


def image_batches(
    archive: Archive, members: Sequence[Member], skipped: SkippedFiles, rows: NDArray[np.int64]
) -> Iterator[EncodedBatch]:
    """The members with these indices, in this order; a corrupt one is skipped with a reason."""
    return in_batches(_read(archive, members, skipped, rows))


def _read(
    archive: Archive, members: Sequence[Member], skipped: SkippedFiles, rows: NDArray[np.int64]
) -> Iterator[tuple[int, str, bytes]]:
    for row in rows:
        member = members[row]
        try:
            data = archive.read(member)
        except DataError as error:
            if error.code != "corrupt_member":
                raise
            skipped.add(member.name, "corrupt in the archive")
            continue
        yield int(row), member.name, data


def source_of_files(
    source_format: str,
    archive: Archive,
    rows: Sequence[tuple[int, Member, Header]],
    *,
    classes: tuple[str, ...],
    labels_N: NDArray[np.int64],
    skipped: SkippedFiles,
) -> Source:
    """A set of one image file a row: its split, its member, and what its header says."""
    members = [member for _, member, _ in rows]
    return Source(
        source_format=source_format,
        classes=classes,
        labels_N=labels_N,
        splits_N=np.array([split for split, *_ in rows], np.uint8),
        sizes_N2=np.array([(h.height, h.width) for *_, h in rows], np.int32).reshape(-1, 2),
        channels=1 if all(header.grey for *_, header in rows) else 3,
        skipped=skipped,
        batches=functools.partial(image_batches, archive, members, skipped),
    )


def in_batches(images: Iterable[tuple[int, str, bytes]]) -> Iterator[EncodedBatch]:
    """(row, name, encoded bytes) gathered until a batch has 256 rows or 16 MiB."""
    rows: list[int] = []
    names: list[str] = []
    files: list[bytes] = []
    held = 0
    for row, name, data in images:
        rows.append(row)
        names.append(name)
        files.append(data)
        held += len(data)
        if held >= BATCH_BYTES or len(files) >= BATCH_ROWS:
            yield EncodedBatch(rows=np.array(rows, np.int64), names=names, files=files)
            rows, names, files, held = [], [], [], 0
    if files:
        yield EncodedBatch(rows=np.array(rows, np.int64), names=names, files=files)
