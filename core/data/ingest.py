"""An upload to the canonical form, in one call."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from core.data.canonical.canonical_set import (
    MANIFEST_FILE,
    PREVIEW_FILE,
    Manifest,
    SplitSummary,
    images_file,
    labels_file,
)
from core.data.canonical.channels import choose_channels
from core.data.canonical.content_hash import content_hash
from core.data.canonical.detail import lost_by_halving
from core.data.canonical.pixels import square_batches
from core.data.canonical.preview import draw_preview
from core.data.canonical.sizing import choose_size
from core.data.canonical.split_writer import SplitWriter
from core.data.canonical.splits import assign
from core.data.detect import open_set
from core.data.limits import Limits, check_limit
from core.data.report import describe
from core.errors import DataError, StorageFull

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
    channels: int | None = None,
    seed: int = 0,
    progress: Progress = _unheard,
) -> Manifest:
    """Detect, read and write a labelled image set; memory stays bounded for a set of any size.

    Args:
        source: the uploaded file, whatever its name, or a file or folder on this machine.
        out: a new or empty folder for the canonical files. Left as it was on any error.
        image_size: side in pixels, 16 to 256; without it, `sizing.choose_size` decides.
        channels: 1, 3 or 4; without it, `channels.choose_channels` decides.
        seed: draws the held-out images of a set without a test split.
        progress: told (images done, images in all); the total is None until it is known.

    Raises:
        DataError: the set cannot be used; `code` says why.
        InvalidRequest: `invalid_image_size` or `invalid_channels`.
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
        manifest = _write(source, work, limits, image_size, channels, seed, progress)
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
    path: Path,
    work: Path,
    limits: Limits,
    image_size: int | None,
    requested_channels: int | None,
    seed: int,
    progress: Progress,
) -> Manifest:
    progress(0, None)
    with open_set(path, work, limits) as source:
        assignment = assign(source, seed=seed, limits=limits)
        sizing = choose_size(source.sizes_N2, image_size)
        conversion = choose_channels(source.channels, requested_channels)
        size, channels = sizing.image_size, conversion.channels
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
                batches = square_batches(source, rows, image_size=size, channels=channels, limits=limits)
                for batch in batches:
                    writer.append(batch.images_NHWC, assignment.new_label[source.labels_N[batch.rows]])
                    done += batch.drawn
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
        content_hash=content_hash(
            assignment.classes,
            size,
            channels,
            [(split, writer.count, *writer.hashes()) for split, writer in writers.items()],
        ),
        source_format=source.source_format,
        split_rule=assignment.rule,
        resize={"image_size": size, "origin": sizing.origin, "rule": sizing.rule, "requested": image_size},
        conversion={
            "channels": channels,
            "origin": conversion.origin,
            "rule": conversion.rule,
            "requested": requested_channels,
        },
        report=describe(
            sizes_N2=source.sizes_N2,
            sizing=sizing,
            skipped=source.skipped,
            assignment=assignment,
            train=writers["train"].facts(),
            test=writers["test"].facts(),
            lost=lost_by_halving(train_images),
        ),
    )
    (work / MANIFEST_FILE).write_text(manifest.to_json(), "utf-8")
    return manifest
