"""What every reader hands over: a table of rows, and a way to stream their pixels in order."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

TRAIN, VAL, TEST = 0, 1, 2
SPLIT_NAMES = ("train", "val", "test")
SPLIT_ALIASES = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VAL,
    "valid": VAL,
    "validation": VAL,
    "test": TEST,
    "testing": TEST,
    "t10k": TEST,
}
BATCH_ROWS = 256


@dataclass(frozen=True, kw_only=True)
class EncodedBatch:
    """Image files still to be decoded; `names` are the members' names, one a file."""

    rows: NDArray[np.int64]
    names: list[str]
    files: list[bytes]


@dataclass(frozen=True, kw_only=True)
class PixelBatch:
    """Decoded images: uint8, C is 1, 3 or 4."""

    rows: NDArray[np.int64]
    images_NHWC: NDArray[np.uint8]


@dataclass
class SkippedFiles:
    """Files left out, with reasons: all are counted, the first hundred are named."""

    total: int = 0
    by_reason: Counter[str] = field(default_factory=Counter)
    first: list[dict[str, str]] = field(default_factory=list)

    def add(self, name: str, reason: str) -> None:
        self.total += 1
        self.by_reason[reason] += 1
        if len(self.first) < 100:
            self.first.append({"name": name, "reason": reason})


@dataclass(frozen=True, kw_only=True)
class Source:
    """A labelled image set as its reader found it, N rows over all splits.

    Attributes:
        source_format: the NAME of its reader.
        classes: names, in label order.
        labels_N: index into classes.
        splits_N: TRAIN, VAL or TEST.
        sizes_N2: height and width.
        channels: 1 if every image is grey, 4 for arrays of four channels, else 3.
        skipped: grows while batches are drawn, if a reader meets a bad file late.
        batches: streams the given rows (ascending) in order.
    """

    source_format: str
    classes: tuple[str, ...]
    labels_N: NDArray[np.int64]
    splits_N: NDArray[np.uint8]
    sizes_N2: NDArray[np.int32]
    channels: int
    skipped: SkippedFiles
    batches: Callable[[NDArray[np.int64]], Iterator[EncodedBatch | PixelBatch]]
