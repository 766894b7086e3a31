"""A picture of a set: one row a class, its first images side by side."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.data.canonical.decode import over_white

CLASSES = 20
SAMPLES = 10
GAP = 2  # px
# Sides of a cell, px, as in the pictures of condensed sets (core/export/preview.py), beside which this one is
# shown: small images are enlarged by a whole factor up to the first, large ones reduced to the second.
ENLARGED_SIDE = 64
LARGEST_SIDE = 128


def draw_preview(images_NHWC: NDArray[np.uint8], labels_N: NDArray[np.int64], *, classes: int) -> Image.Image:
    """At most 20 classes by 10 samples on white, in square cells.

    A fourth channel is drawn as opacity.
    """
    side = cell_side(images_NHWC.shape[1])
    step = side + GAP
    rows = min(classes, CLASSES)
    mode = "L" if images_NHWC.shape[3] == 1 else "RGB"
    canvas = Image.new(mode, (SAMPLES * step + GAP, rows * step + GAP), "white")
    for label in range(rows):
        for column, index in enumerate(np.flatnonzero(labels_N == label)[:SAMPLES]):
            canvas.paste(_cell(images_NHWC[index], side), (GAP + column * step, GAP + label * step))
    return canvas


def cell_side(side: int) -> int:
    """Of a cell for images of this side, in px."""
    return LARGEST_SIDE if side > LARGEST_SIDE else side * max(1, ENLARGED_SIDE // side)


def _cell(image_HWC: NDArray[np.uint8], side: int) -> Image.Image:
    image = Image.fromarray(image_HWC[..., 0] if image_HWC.shape[2] == 1 else image_HWC)
    if image_HWC.shape[2] == 4:
        image = over_white(image)
    # Whole factors of NEAREST keep every pixel a crisp square; a reduction has to average.
    resampling = Image.Resampling.NEAREST if side >= image.width else Image.Resampling.BOX
    return image.resize((side, side), resampling)
