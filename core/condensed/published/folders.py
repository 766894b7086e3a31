"""Class folders of image files: those of SRe2L's line and RDED, and our own condensed-png.zip."""

import json
import re
from typing import Any

import numpy as np

from core.condensed.published.found import Found, found
from core.condensed.published.layouts import FOLDERS, OWN
from core.condensed.published.limits import PublishedLimits
from core.data.canonical.decode import UndecodableImage, decode
from core.data.containers.archive import Archive
from core.data.limits import MIB, check_limit
from core.data.readers import imagefolder
from core.data.source import EncodedBatch
from core.errors import DataError
from core.export.manifest import SCHEMA

NUMBERED = re.compile(r"(?:new)?(\d+)")
"""SRe2L's new000 and RDED's 00000: the number is the label."""

MANIFEST_BYTES = 16 * MIB


def read_folders(archive: Archive, limits: PublishedLimits) -> Found:
    """One folder a class, images all of one square size. The space is 0 to 255.

    Raises:
        DataError: `no_images`, `unsupported_shape`, `undecodable_image`, `limit_exceeded`.
    """
    own = limits.of_archive()
    source = imagefolder.read(archive, own)
    count = len(source.labels_N)
    sizes = {(int(height), int(width)) for height, width in source.sizes_N2}
    if not count:
        raise DataError("no image lies in a class folder", code="no_images")
    if len(sizes) > 1 or len({*next(iter(sizes))}) > 1:
        shown = ", ".join(f"{height} × {width}" for height, width in sorted(sizes)[:5])
        raise DataError(
            f"the images are {shown} (height × width) pixels; those of a set are square and of one size",
            code="unsupported_shape",
        )
    ((size, _),) = sizes
    limits.check_images((count, source.channels, size, size), "the images")
    levels_NHWC = np.empty((count, size, size, source.channels), np.uint8)
    filled = 0
    for batch in source.batches(np.arange(count)):
        assert isinstance(batch, EncodedBatch)
        for row, name, file in zip(batch.rows, batch.names, batch.files, strict=True):
            try:
                levels_NHWC[row] = decode(
                    file, name=name, image_size=size, channels=source.channels, limits=own
                )
            except UndecodableImage as error:
                raise _undecodable(name, str(error)) from error
            filled += 1
    if filled != count or "corrupt in the archive" in source.skipped.by_reason:
        raise _undecodable(source.skipped.first[0]["name"], source.skipped.first[0]["reason"])
    labels_N, stated = _labels(archive, source.classes, source.labels_N)
    notes = (
        [f"{source.skipped.total} files that are no image of a class were left out"]
        if source.skipped.total
        else []
    )
    layout = OWN if stated else FOLDERS
    return found(layout, levels_NHWC, labels_N, channels_last=True, notes=notes, **stated)


def _labels(archive: Archive, folders: tuple[str, ...], labels_N: Any) -> tuple[Any, dict[str, Any]]:
    """Labels, and what our own manifest or the names of the folders state."""
    manifest = _manifest(archive)
    if manifest is not None:
        try:
            places = {name: place for place, name in enumerate(manifest["png"]["folders"])}
            label_of = np.array([places[name] for name in folders], np.int64)
            stated = {
                "classes": tuple(map(str, manifest["classes"])),
                "mean": tuple(map(float, manifest["normalisation"]["mean"])),
                "std": tuple(map(float, manifest["normalisation"]["std"])),
            }
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"manifest.json is not as this service writes it: {error}", code="corrupt_card"
            ) from error
        return label_of[labels_N], stated
    numbers = [NUMBERED.fullmatch(name) for name in folders]
    if all(numbers):
        label_of = np.array([min(int(one[1]), 2**31) for one in numbers if one is not None], np.int64)
        return label_of[labels_N], {}
    return labels_N, {"classes": folders}


def _manifest(archive: Archive) -> Any:
    for member in archive.members:
        if member.name == "manifest.json":
            check_limit("bytes of the manifest", member.size, MANIFEST_BYTES, member.name)
            try:
                content = json.loads(archive.read(member))
            except ValueError:
                return None
            return content if isinstance(content, dict) and content.get("schema") == SCHEMA else None
    return None


def _undecodable(name: str, reason: str) -> DataError:
    return DataError(
        f"{name!r} cannot be used: {reason}. Every image of an uploaded set must be readable",
        code="undecodable_image",
        member=name,
    )
