"""One picture of the set: a row a class, a column an image."""

from pathlib import Path

import numpy as np
from PIL import Image

from core.export.condensed import CondensedSet

MAX_CLASSES = 100
MAX_IMAGES = 10
GAP = 2  # px
# Sides of a cell, px: small images are enlarged by a whole factor up to the first (28 px digits would be
# stamps), large ones reduced to the second (100 rows of 512 px are more than a browser shows).
ENLARGED_SIDE = 64
LARGEST_SIDE = 128
WHITE = 255


def write(condensed: CondensedSet, path: Path) -> None:
    """PNG grid of the first 100 classes × their first 10 images; a class without images is a blank row."""
    classes = min(len(condensed.classes), MAX_CLASSES)
    columns = min(max(condensed.images_per_class[:classes]), MAX_IMAGES) or 1
    pixels_NHWC = condensed.pixels_uint8_NHWC()
    mode = "L" if pixels_NHWC.shape[3] == 1 else "RGB"
    height, width = cell_size(*pixels_NHWC.shape[1:3])
    size = (columns * (width + GAP) + GAP, classes * (height + GAP) + GAP)
    grid = Image.new(mode, size, color=WHITE if mode == "L" else (WHITE, WHITE, WHITE))
    for row in range(classes):
        for column, index in enumerate(np.flatnonzero(condensed.labels_N == row)[:columns]):
            cell = Image.fromarray(pixels_NHWC[index, :, :, 0] if mode == "L" else pixels_NHWC[index])
            # Whole factors of NEAREST keep every pixel a crisp square; a reduction has to average.
            resampling = Image.Resampling.NEAREST if width >= cell.width else Image.Resampling.BOX
            cell = cell.resize((width, height), resampling)
            grid.paste(cell, (GAP + column * (width + GAP), GAP + row * (height + GAP)))
    grid.save(path, format="PNG")


def cell_size(height: int, width: int) -> tuple[int, int]:
    """(height, width) of a cell in pixels, the image's proportions kept."""
    longest = max(height, width)
    if longest > LARGEST_SIDE:
        return max(1, height * LARGEST_SIDE // longest), max(1, width * LARGEST_SIDE // longest)
    factor = max(1, ENLARGED_SIDE // longest)
    return height * factor, width * factor
