"""The CIFAR-10 and CIFAR-100 "python version" archives.

Each batch is a pickled dict with `data`, uint8 (N, 3072), planes R, G, B of 32 x 32, and `labels` or
`fine_labels`.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.containers.archive import Archive
from core.data.containers.members import Member
from core.data.formats.cifar_layout import PIXEL_BYTES, SIDE, batch_order, split_of
from core.data.formats.plain_pickle import PickledArray, load_plain
from core.data.labels.numbered import label_names
from core.data.labels.text_labels import class_names
from core.data.limits import Limits, check_limit
from core.data.source import PixelBatch, SkippedFiles, Source
from core.errors import DataError

NAME = "cifar"
ACCEPTS = "the CIFAR-10 or CIFAR-100 archive, python version"
BATCH = re.compile(r"data_batch_\d{1,4}|test_batch|train|test")
META = ("batches.meta", "meta")
PICKLE_STARTS = (b"\x80", b"(", b"c", b"}", b"]")


@dataclass(frozen=True, kw_only=True)
class _Batch:
    member: Member
    split: int
    first_row: int
    count: int


def matches(archive: Archive) -> bool:
    """Whether a member has the name of a CIFAR batch and starts as a pickle does."""
    return any(
        BATCH.fullmatch(member.base_name) and archive.head(member, 1).startswith(PICKLE_STARTS)
        for member in archive.members
    )


def read(archive: Archive, limits: Limits) -> Source:
    """Batches in the order of their numbers, then the test batch; labels are the fine ones.

    Raises:
        DataError: `unsafe_pickle`, `corrupt_pickle`, `corrupt_member`, `label_mismatch`,
            `unsafe_class_name` or `limit_exceeded`.
    """
    skipped = SkippedFiles()
    names: Sequence[str] | None = None
    members: list[Member] = []
    for member in archive.members:
        if BATCH.fullmatch(member.base_name):
            members.append(member)
        elif member.base_name in META:
            names = _class_names(_load(archive, member, limits), member.name, limits)
        else:
            skipped.add(member.name, "not part of the CIFAR layout")
    members.sort(key=batch_order)

    batches: list[_Batch] = []
    all_labels: list[NDArray[np.int64]] = []
    first_row = 0
    for member in members:
        content = _load(archive, member, limits)
        count = len(_pixels(content, member.name))
        labels = _labels(content, member.name)
        if len(labels) != count:
            raise DataError(
                f"{member.name!r} holds {count:,} images and {len(labels):,} labels",
                code="label_mismatch",
                member=member.name,
            )
        batches.append(_Batch(member=member, split=split_of(member), first_row=first_row, count=count))
        all_labels.append(labels)
        first_row += count
    check_limit("images", first_row, limits.images)
    classes, labels_N = label_names(np.concatenate(all_labels), names)
    return Source(
        source_format=NAME,
        classes=classes,
        labels_N=labels_N,
        splits_N=np.repeat(
            np.array([batch.split for batch in batches], np.uint8), [batch.count for batch in batches]
        ),
        sizes_N2=np.full((first_row, 2), SIDE, np.int32),
        channels=3,
        skipped=skipped,
        batches=functools.partial(_batches, archive, batches, limits),
    )


def _load(archive: Archive, member: Member, limits: Limits) -> dict[Any, Any]:
    check_limit("pickle_bytes", member.size, limits.pickle_bytes, member.name)
    content = load_plain(archive.read(member), limits=limits, member=member.name)
    if type(content) is not dict:
        raise _unexpected(member.name, "it holds no dict")
    return content


def _entry(content: dict[Any, Any], key: str) -> object:
    # Pickles written by Python 2 have bytes as keys.
    return content.get(key.encode(), content.get(key))


def _unexpected(member: str, why: str) -> DataError:
    return DataError(f"{member!r} is not a CIFAR batch: {why}", code="corrupt_pickle", member=member)


def _pixels(content: dict[Any, Any], member: str) -> NDArray[np.uint8]:
    data = _entry(content, "data")
    if not isinstance(data, PickledArray) or data.array is None:
        raise _unexpected(member, "`data` is no array")
    if data.array.dtype != np.uint8 or data.array.ndim != 2 or data.array.shape[1] != PIXEL_BYTES:
        raise _unexpected(member, f"`data` is {data.array.dtype} {data.array.shape}, not uint8 (N, 3072)")
    return data.array


def _labels(content: dict[Any, Any], member: str) -> NDArray[np.int64]:
    for key in ("labels", "fine_labels"):
        labels = _entry(content, key)
        if isinstance(labels, PickledArray) and labels.array is not None and labels.array.ndim == 1:
            return labels.array.astype(np.int64)
        if isinstance(labels, list) and all(type(label) is int and 0 <= label < 2**31 for label in labels):
            return np.array(labels, np.int64)
    raise _unexpected(member, "there is no list of whole numbers under `labels` or `fine_labels`")


def _class_names(content: dict[Any, Any], member: str, limits: Limits) -> tuple[str, ...]:
    for key in ("label_names", "fine_label_names"):
        names = _entry(content, key)
        if isinstance(names, list) and all(isinstance(name, bytes | str) for name in names):
            texts = [name.decode("utf-8", "replace") if isinstance(name, bytes) else name for name in names]
            return class_names(texts, member=member, limits=limits)
    raise _unexpected(member, "there are no class names under `label_names` or `fine_label_names`")


def _batches(
    archive: Archive, batches: Sequence[_Batch], limits: Limits, rows: NDArray[np.int64]
) -> Iterator[PixelBatch]:
    for batch in batches:
        wanted = rows[(rows >= batch.first_row) & (rows < batch.first_row + batch.count)]
        if not len(wanted):
            continue
        pixels = _pixels(_load(archive, batch.member, limits), batch.member.name)
        images_NCHW = pixels[wanted - batch.first_row].reshape(-1, 3, SIDE, SIDE)
        yield PixelBatch(rows=wanted, images_NHWC=images_NCHW.transpose(0, 2, 3, 1))
