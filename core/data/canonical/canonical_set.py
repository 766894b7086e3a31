"""The canonical form of a data set: memory-mapped uint8 images, int64 labels, and a manifest.

A folder with train.images.npy, train.labels.npy, test.images.npy, test.labels.npy (uint8
(N, S, S, C) and int64 (N,)), manifest.json and preview.png.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from core.errors import DataError

SCHEMA = 1
MANIFEST_FILE = "manifest.json"
PREVIEW_FILE = "preview.png"


def images_file(split: str) -> str:
    return f"{split}.images.npy"


def labels_file(split: str) -> str:
    return f"{split}.labels.npy"


@dataclass(frozen=True, kw_only=True)
class SplitSummary:
    """Images in a split: all, and of each class in the order of the classes."""

    count: int
    per_class: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What is known of a canonical set.

    Attributes:
        classes: names, in label order.
        image_size: side in pixels. channels: 1, 3 or 4.
        splits: "train" and "test".
        mean, std: per channel over the training pixels, in units of 0 to 1; std is 1 where a channel has
            one value only (as opacity often does), which normalises to 0.
        content_hash: SHA-256 over classes, shapes, images and labels of both splits, in order.
        source_format: the reader's name.
        split_rule: how train and test came about.
        resize: `image_size`, `origin` (requested, native, suggested), `rule`, `requested`.
        conversion: `channels`, `origin` (requested, native), `rule`, `requested`; empty in sets of before
            it was recorded.
        report: what `core.data.report.describe` found.
    """

    classes: tuple[str, ...]
    image_size: int
    channels: int
    splits: dict[str, SplitSummary]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    content_hash: str
    source_format: str
    split_rule: str
    resize: dict[str, Any]
    report: dict[str, Any]
    conversion: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        content = {"schema": SCHEMA, **dataclasses.asdict(self)}
        return json.dumps(content, ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises DataError `corrupt_canonical_set` if the text is no manifest of this schema."""
        try:
            content = json.loads(text)
            if content.pop("schema") != SCHEMA:
                raise ValueError(f"schema is not {SCHEMA}")
            splits = {
                name: SplitSummary(count=split["count"], per_class=tuple(split["per_class"]))
                for name, split in content.pop("splits").items()
            }
            for name in ("classes", "mean", "std"):
                content[name] = tuple(content[name])
            return cls(splits=splits, **content)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(
                f"{MANIFEST_FILE} is not readable: {error}", code="corrupt_canonical_set"
            ) from error


@dataclass(frozen=True, kw_only=True)
class Split:
    """Memory-mapped, read-only: images (N, S, S, C) uint8, labels (N,) int64."""

    images_NHWC: NDArray[np.uint8]
    labels_N: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class CanonicalSet:
    """A canonical folder, opened for reading."""

    manifest: Manifest
    train: Split
    test: Split

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a folder that `ingest` wrote; pixels are read only when they are used.

        Raises:
            DataError: `corrupt_canonical_set` if a file is missing or does not agree with the manifest.
        """
        try:
            manifest = Manifest.from_json((path / MANIFEST_FILE).read_text("utf-8"))
            return cls(
                manifest=manifest,
                train=_open_split(path, "train", manifest),
                test=_open_split(path, "test", manifest),
            )
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"the canonical set is damaged: {error}", code="corrupt_canonical_set") from error


def _open_split(path: Path, split: str, manifest: Manifest) -> Split:
    images = np.load(path / images_file(split), mmap_mode="r", allow_pickle=False)
    labels = np.load(path / labels_file(split), mmap_mode="r", allow_pickle=False)
    count, size = manifest.splits[split].count, manifest.image_size
    if images.shape != (count, size, size, manifest.channels) or images.dtype != np.uint8:
        raise ValueError(f"{images_file(split)} does not agree with {MANIFEST_FILE}")
    if labels.shape != (count,) or labels.dtype != np.int64:
        raise ValueError(f"{labels_file(split)} does not agree with {MANIFEST_FILE}")
    return Split(images_NHWC=images, labels_N=labels)
