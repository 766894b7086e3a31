"""Appends images and labels of one split to disk and takes every count on the way, in one pass."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from core.data.canonical.canonical_set import images_file, labels_file
from core.errors import DataError

DIGEST_BYTES = 16


@dataclass(frozen=True, kw_only=True)
class SplitFacts:
    """One split as written: a digest of each image's pixels (equal for equal pixels) and its label."""

    digests_N: NDArray[Any]
    labels_N: NDArray[np.int64]


class SplitWriter:
    """A context; rows go to <split>.images.npy and <split>.labels.npy, headers are completed at its end.

    Attributes:
        counts: images per class so far.
    """

    def __init__(self, folder: Path, split: str, *, image_size: int, channels: int, classes: int) -> None:
        self._item_shape = (image_size, image_size, channels)
        self._images_path, self._labels_path = folder / images_file(split), folder / labels_file(split)
        self.counts = np.zeros(classes, np.int64)
        self._histogram = np.zeros((channels, 256), np.int64)
        self._digests = bytearray()
        self._images_hash, self._labels_hash = hashlib.sha256(), hashlib.sha256()

    def __enter__(self) -> Self:
        self._images = self._images_path.open("wb")
        self._labels = self._labels_path.open("wb")
        self._write_headers()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._images, self._labels:
            if error is None:
                self._images.seek(0)
                self._labels.seek(0)
                self._write_headers()

    @property
    def count(self) -> int:
        return int(self.counts.sum())

    def append(self, images_NHWC: NDArray[np.uint8], labels_N: NDArray[np.int64]) -> None:
        """Append a batch whose shape and dtype are already canonical."""
        images = np.ascontiguousarray(images_NHWC)
        labels = np.ascontiguousarray(labels_N, dtype="<i8")
        self._images.write(images.data)
        self._labels.write(labels.data)
        self._images_hash.update(images.data)
        self._labels_hash.update(labels.data)
        self.counts += np.bincount(labels, minlength=len(self.counts))
        for channel, histogram in enumerate(self._histogram):
            histogram += np.bincount(images[..., channel].ravel(), minlength=256)
        for image in images:
            self._digests += hashlib.blake2b(image.data, digest_size=DIGEST_BYTES).digest()

    def mean_std(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Per channel, in units of 0 to 1; exact up to float64, whatever the order of the rows.

        A channel with one value only has the std 1, so that normalising maps it to 0 (as scikit-learn's
        StandardScaler does).

        Raises:
            DataError: `constant_images` if every channel is so.
        """
        values = np.arange(256) / 255
        weights = self._histogram / self._histogram.sum(axis=1, keepdims=True)
        mean = weights @ values
        std = np.sqrt((weights * (values - mean[:, None]) ** 2).sum(axis=1))
        if not std.any():
            colour = ", ".join(str(round(value * 255)) for value in mean)
            raise DataError(
                f"every pixel of every training image has the same value ({colour} of 255)",
                code="constant_images",
            )
        return tuple(mean.tolist()), tuple(np.where(std > 0, std, 1.0).tolist())

    def hashes(self) -> tuple[str, str]:
        """SHA-256 of all pixels and of all labels, as hex."""
        return self._images_hash.hexdigest(), self._labels_hash.hexdigest()

    def facts(self) -> SplitFacts:
        """What the report looks at, of every row."""
        digests = np.frombuffer(bytes(self._digests), f"S{DIGEST_BYTES}")
        labels = np.load(self._labels_path, allow_pickle=False)
        return SplitFacts(digests_N=digests, labels_N=labels)

    def _write_headers(self) -> None:
        _write_header(self._images, "|u1", (self.count, *self._item_shape))
        _write_header(self._labels, "<i8", (self.count,))


def _write_header(file: BinaryIO, descr: str, shape: tuple[int, ...]) -> None:
    # numpy pads this header so that its length does not depend on the first dimension.
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
