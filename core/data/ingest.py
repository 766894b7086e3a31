"""An upload to the canonical form, in one call."""

import errno
import functools
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.data.canonical import (
    MANIFEST_FILE,
    PREVIEW_FILE,
    Manifest,
    SplitSummary,
    images_file,
    labels_file,
)
from core.data.containers import open_source
from core.data.decode import UndecodableImage, decode, square
from core.data.detect import read_archive
from core.data.limits import Limits, check_limit
from core.data.preview import draw_preview
from core.data.sizing import choose_size
from core.data.source import BATCH_ROWS, EncodedBatch, SkippedFiles, Source
from core.data.split_writer import SplitWriter
from core.data.splits import Assignment, assign
from core.errors import DataError, StorageFull

# Each thread may hold one image at the pixel limit, so memory and not cores bounds their number.
MOST_THREADS = 8
WORK_FOLDER = ".ingest"

Progress = Callable[[int, int | None], None]


def _unheard(done: int, total: int | None) -> None:
    pass


def ingest(
    source: Path,
    out: Path,
    *,
    limits: Limits,
    image_size: int | None = None,
    seed: int = 0,
    progress: Progress = _unheard,
) -> Manifest:
    """Detect, read and write a labelled image set; memory stays bounded for a set of any size.

    Args:
        source: the uploaded file; its name is not looked at.
        out: a new or empty folder for the canonical files. Left as it was on any error.
        image_size: side in pixels, 16 to 256; without it, `sizing.choose_size` decides.
        seed: draws the held-out images of a set without a test split.
        progress: told (images done, images in all); the total is None until it is known.

    Raises:
        DataError: the set cannot be used; `code` says why.
        InvalidRequest: `invalid_image_size`.
        StorageFull: the disk is full.
        FileExistsError: `out` is not empty.
    """
    created = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise FileExistsError(f"{out} is not empty")
    work = out / WORK_FOLDER
    try:
        work.mkdir()
        manifest = _write(source, work, limits, image_size, seed, progress)
        # The manifest goes last: a folder that has one is complete.
        files = [name(split) for split in manifest.splits for name in (images_file, labels_file)]
        for file in (*files, PREVIEW_FILE, MANIFEST_FILE):
            (work / file).replace(out / file)
        shutil.rmtree(work)
    except BaseException as error:
        _clear(out, remove=created)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull("the disk is full") from error
        raise
    return manifest


def _clear(out: Path, *, remove: bool) -> None:
    for entry in out.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    if remove:
        out.rmdir()


def _write(
    path: Path, work: Path, limits: Limits, image_size: int | None, seed: int, progress: Progress
) -> Manifest:
    progress(0, None)
    with open_source(path, work, limits) as archive:
        source = read_archive(archive, limits)
        assignment = assign(source, seed=seed, limits=limits)
        sizing = choose_size(source.sizes_N2, image_size)
        size, channels = sizing.image_size, source.channels
        split_rows = {"train": assignment.train_rows, "test": assignment.test_rows}
        total = sum(len(rows) for rows in split_rows.values())
        check_limit("canonical_bytes", total * size * size * channels, limits.canonical_bytes)
        writers: dict[str, SplitWriter] = {}
        done = 0
        for split, rows in split_rows.items():
            writer = SplitWriter(
                work, split, image_size=size, channels=channels, classes=len(assignment.classes)
            )
            with writer:
                for images, labels, drawn in _canonical_batches(source, assignment, rows, size, limits):
                    writer.append(images, labels)
                    done += drawn
                    progress(done, total)
            writers[split] = writer
    empty = np.flatnonzero(writers["train"].counts == 0)
    if len(empty):
        names = [assignment.classes[label] for label in empty[:20]]
        raise DataError(
            f"every training image of {', '.join(map(repr, names))} is corrupt",
            code="no_images",
            classes=names,
        )
    train_images = np.load(work / images_file("train"), mmap_mode="r", allow_pickle=False)
    train_labels = np.load(work / labels_file("train"), allow_pickle=False)
    draw_preview(train_images, train_labels, classes=len(assignment.classes)).save(work / PREVIEW_FILE)

    mean, std = writers["train"].mean_std()
    manifest = Manifest(
        classes=assignment.classes,
        image_size=size,
        channels=channels,
        splits={
            split: SplitSummary(count=writer.count, per_class=tuple(writer.counts.tolist()))
            for split, writer in writers.items()
        },
        mean=mean,
        std=std,
        content_hash=_content_hash(assignment.classes, size, channels, writers),
        source_format=source.source_format,
        split_rule=assignment.rule,
        resize={"image_size": size, "origin": sizing.origin, "rule": sizing.rule, "requested": image_size},
        report=_report(source.skipped, assignment, writers),
    )
    (work / MANIFEST_FILE).write_text(manifest.to_json(), "utf-8")
    return manifest


def _canonical_batches(
    source: Source, assignment: Assignment, rows: NDArray[np.int64], size: int, limits: Limits
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64], int]]:
    """Square images, labels, and how many rows of the source they came from."""
    with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS)) as pool:
        for batch in source.batches(rows):
            if isinstance(batch, EncodedBatch):
                one = functools.partial(_decode_or_reason, size=size, channels=source.channels, limits=limits)
                results = list(pool.map(one, batch.files, batch.names))
                good = [i for i, result in enumerate(results) if not isinstance(result, str)]
                for name, result in zip(batch.names, results, strict=True):
                    if isinstance(result, str):
                        source.skipped.add(name, result)
                images = _stack((r for r in results if not isinstance(r, str)), size, source.channels)
                kept = batch.rows[good]
                yield images, assignment.new_label[source.labels_N[kept]], len(batch.rows)
                continue
            # In pieces, because enlarging a reader's block may multiply its bytes by hundreds.
            for start in range(0, len(batch.rows), BATCH_ROWS):
                piece = slice(start, start + BATCH_ROWS)
                images = _squared(batch.images_NHWC[piece], size, source.channels, pool)
                kept = batch.rows[piece]
                yield images, assignment.new_label[source.labels_N[kept]], len(kept)


def _decode_or_reason(
    data: bytes, name: str, *, size: int, channels: int, limits: Limits
) -> NDArray[np.uint8] | str:
    try:
        return decode(data, name=name, image_size=size, channels=channels, limits=limits)
    except UndecodableImage as error:
        return str(error)


def _squared(
    images: NDArray[np.uint8], size: int, channels: int, pool: ThreadPoolExecutor
) -> NDArray[np.uint8]:
    if images.shape[1:3] == (size, size):
        return images

    def one(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        grey_or_colour = np.ascontiguousarray(image[..., 0] if channels == 1 else image)
        return square(Image.fromarray(grey_or_colour), image_size=size, channels=channels)

    return _stack(pool.map(one, images), size, channels)


def _stack(images: Iterable[NDArray[np.uint8]], size: int, channels: int) -> NDArray[np.uint8]:
    return np.array(list(images), np.uint8).reshape(-1, size, size, channels)


def _content_hash(classes: tuple[str, ...], size: int, channels: int, writers: dict[str, SplitWriter]) -> str:
    facts = [list(classes), size, channels]
    parts = [[split, writer.count, *writer.hashes()] for split, writer in writers.items()]
    return hashlib.sha256(json.dumps([facts, parts], ensure_ascii=True).encode()).hexdigest()


def _report(
    skipped: SkippedFiles, assignment: Assignment, writers: dict[str, SplitWriter]
) -> dict[str, object]:
    train, test = writers["train"].digests(), writers["test"].digests()
    counts = writers["train"].counts
    return {
        "skipped": {
            "total": skipped.total,
            "by_reason": dict(skipped.by_reason),
            "first": skipped.first,
        },
        "left_out": assignment.left_out,
        "duplicates": {
            "train": len(train) - len(np.unique(train)),
            "test": len(test) - len(np.unique(test)),
            "test_also_in_train": int(np.isin(test, train).sum()),
        },
        "imbalance_ratio": round(float(counts.max() / counts.min()), 4),
    }
