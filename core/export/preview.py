"""One picture of the set: a row a class, a column an image."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.export.condensed import CondensedSet
from core.export.eight_bit import picture
from core.export.writer import Writer

MAX_CLASSES = 100
MAX_IMAGES = 10
GAP = 2  # px
# Sides of a cell, px: small images are enlarged by a whole factor up to the first (28 px digits would be
# stamps), large ones reduced to the second (100 rows of 512 px are more than a browser shows).
ENLARGED_SIDE = 64
LARGEST_SIDE = 128
WHITE = 255


def write(condensed: CondensedSet, path: Path) -> None:
    """PNG of the whole set's `grid`, as it is stored."""
    stored = condensed.as_stored()
    grid(stored.pixels_uint8_NHWC(), stored.labels_N, len(stored.classes)).save(path, format="PNG")


def grid(levels_NHWC: NDArray[np.uint8], labels_N: NDArray[np.int64], classes: int) -> Image.Image:
    """The first 100 classes × their first 10 images; a class without images is a blank row.

    Images with an alpha channel are shown as they look on white.
    """
    classes = min(classes, MAX_CLASSES)
    columns = min(int(np.bincount(labels_N, minlength=classes)[:classes].max()), MAX_IMAGES) or 1
    pixels_NHWC = _over_white(levels_NHWC)
    mode = "L" if pixels_NHWC.shape[3] == 1 else "RGB"
    height, width = cell_size(*pixels_NHWC.shape[1:3])
    size = (columns * (width + GAP) + GAP, classes * (height + GAP) + GAP)
    canvas = Image.new(mode, size, color=WHITE if mode == "L" else (WHITE, WHITE, WHITE))
    for row in range(classes):
        for column, index in enumerate(np.flatnonzero(labels_N == row)[:columns]):
            cell = picture(pixels_NHWC[index])
            # Whole factors of NEAREST keep every pixel a crisp square; a reduction has to average.
            resampling = Image.Resampling.NEAREST if width >= cell.width else Image.Resampling.BOX
            cell = cell.resize((width, height), resampling)
            canvas.paste(cell, (GAP + column * (width + GAP), GAP + row * (height + GAP)))
    return canvas


def shown(labels_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ascending indices of the images that `grid` shows."""
    by_class = [np.flatnonzero(labels_N == label)[:MAX_IMAGES] for label in range(MAX_CLASSES)]
    return np.sort(np.concatenate(by_class))


def _over_white(levels_NHWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Without alpha: colour · alpha + white · (1 - alpha), rounded."""
    if levels_NHWC.shape[3] != 4:
        return levels_NHWC
    colour, alpha = levels_NHWC[..., :3].astype(np.uint32), levels_NHWC[..., 3:].astype(np.uint32)
    # Half of the divisor, for rounding.
    return ((colour * alpha + WHITE * (WHITE - alpha) + WHITE // 2) // WHITE).astype(np.uint8)


def cell_size(height: int, width: int) -> tuple[int, int]:
    """(height, width) of a cell in pixels, the image's proportions kept."""
    longest = max(height, width)
    if longest > LARGEST_SIDE:
        return max(1, height * LARGEST_SIDE // longest), max(1, width * LARGEST_SIDE // longest)
    factor = max(1, ENLARGED_SIDE // longest)
    return height * factor, width * factor


WRITER = Writer(write=write)
