"""The CIFAR-10 and CIFAR-100 "binary version" archives.

A record is a label (CIFAR-10) or a coarse and a fine label (CIFAR-100), a byte each, and 3,072 bytes:
planes R, G, B of 32 x 32. Class names are lines of a text file beside the batches.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.data.containers.archive import Archive
from core.data.containers.inflate import ByteStream
from core.data.containers.members import Member
from core.data.formats.cifar_layout import PIXEL_BYTES, SIDE, batch_order, split_of
from core.data.labels.numbered import label_names
from core.data.labels.text_labels import class_names
from core.data.limits import Limits, check_limit
from core.data.source import PixelBatch, SkippedFiles, Source
from core.errors import DataError

NAME = "cifar-binary"
ACCEPTS = "the CIFAR-10 or CIFAR-100 archive, binary version"
# How the batches are named, how many labels a record has, and where the names of the last label are.
CIFAR_10 = (re.compile(r"(data_batch_\d{1,4}|test_batch)\.bin"), 1, "batches.meta.txt")
CIFAR_100 = (re.compile(r"(train|test)\.bin"), 2, "fine_label_names.txt")
UNUSED = ("coarse_label_names.txt", "readme.html")
NAMES_BYTES = 64 * 1024
BLOCK_RECORDS = 2048


@dataclass(frozen=True, kw_only=True)
class _Batch:
    member: Member
    label_bytes: int
    first_row: int

    @property
    def record_bytes(self) -> int:
        return self.label_bytes + PIXEL_BYTES

    @property
    def count(self) -> int:
        return self.member.size // self.record_bytes


def matches(archive: Archive) -> bool:
    """Whether there are files with the names of CIFAR batches, of whole records or with their class names."""
    base_names = {member.base_name for member in archive.members}
    for pattern, label_bytes, names_file in (CIFAR_10, CIFAR_100):
        sizes = [member.size for member in archive.members if pattern.fullmatch(member.base_name)]
        whole = all(size and size % (label_bytes + PIXEL_BYTES) == 0 for size in sizes)
        if sizes and (whole or names_file in base_names):
            return True
    return False


def read(archive: Archive, limits: Limits) -> Source:
    """Batches in the order of their numbers, then the test batch; labels are the fine ones.

    Raises:
        DataError: `corrupt_cifar`, `corrupt_member`, `ambiguous_members`, `label_mismatch`,
            `unsafe_class_name` or `limit_exceeded`.
    """
    skipped = SkippedFiles()
    names: dict[str, tuple[str, ...]] = {}
    found: list[tuple[Member, int, str]] = []
    for member in archive.members:
        kind = next((k for k in (CIFAR_10, CIFAR_100) if k[0].fullmatch(member.base_name)), None)
        if kind is not None:
            found.append((member, kind[1], kind[2]))
        elif member.base_name in (CIFAR_10[2], CIFAR_100[2]):
            names[member.base_name] = _class_names(archive, member, limits)
        elif member.base_name not in UNUSED:
            skipped.add(member.name, "not part of the CIFAR layout")
    if len({label_bytes for _, label_bytes, _ in found}) > 1:
        raise DataError(
            f"{found[0][0].name!r} and {found[-1][0].name!r} are batches of CIFAR-10 and of CIFAR-100: leave "
            "one of them out",
            code="ambiguous_members",
            member=found[-1][0].name,
        )
    batches: list[_Batch] = []
    first_row = 0
    for member, label_bytes, _ in sorted(found, key=lambda one: batch_order(one[0])):
        batch = _Batch(member=member, label_bytes=label_bytes, first_row=first_row)
        if not batch.count or member.size % batch.record_bytes:
            raise DataError(
                f"{member.name!r} holds {member.size:,} bytes, which is not a multiple of its records of "
                f"{batch.record_bytes:,}",
                code="corrupt_cifar",
                member=member.name,
            )
        batches.append(batch)
        first_row += batch.count
    check_limit("images", first_row, limits.images)
    # Converted block by block: a slice would hold on to the pixels.
    labels = [
        records[:, batch.label_bytes - 1].astype(np.int64)
        for batch in batches
        for _, records in _records(archive, batch)
    ]
    classes, labels_N = label_names(np.concatenate(labels), names.get(found[0][2]))
    return Source(
        source_format=NAME,
        classes=classes,
        labels_N=labels_N,
        splits_N=np.repeat(
            np.array([split_of(batch.member) for batch in batches], np.uint8),
            [batch.count for batch in batches],
        ),
        sizes_N2=np.full((first_row, 2), SIDE, np.int32),
        channels=3,
        skipped=skipped,
        batches=functools.partial(_batches, archive, batches),
    )


def _class_names(archive: Archive, member: Member, limits: Limits) -> tuple[str, ...]:
    check_limit("bytes of the class names", member.size, NAMES_BYTES, member.name)
    lines = archive.read(member).decode("utf-8", "replace").splitlines()
    return class_names((line for line in lines if line.strip()), member=member.name, limits=limits)


def _records(archive: Archive, batch: _Batch) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(row of the first, records) block by block."""
    stream = ByteStream(archive.chunks(batch.member))
    row = batch.first_row
    while data := stream.read(BLOCK_RECORDS * batch.record_bytes):
        records = np.frombuffer(data, np.uint8).reshape(-1, batch.record_bytes)
        yield row, records
        row += len(records)


def _batches(archive: Archive, batches: Sequence[_Batch], rows: NDArray[np.int64]) -> Iterator[PixelBatch]:
    for batch in batches:
        begin, end = np.searchsorted(rows, [batch.first_row, batch.first_row + batch.count])
        if begin == end:
            continue
        for first, records in _records(archive, batch):
            begin, end = np.searchsorted(rows, [first, first + len(records)])
            wanted = rows[begin:end]
            if len(wanted):
                images = records[wanted - first, batch.label_bytes :].reshape(-1, 3, SIDE, SIDE)
                yield PixelBatch(rows=wanted, images_NHWC=images.transpose(0, 2, 3, 1))
