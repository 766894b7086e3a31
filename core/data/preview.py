"""A picture of a set: one row a class, its first images side by side."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.data.decode import over_white

CLASSES = 20
SAMPLES = 10
GAP = 2
SMALLEST_CELL = 48


def draw_preview(images_NHWC: NDArray[np.uint8], labels_N: NDArray[np.int64], *, classes: int) -> Image.Image:
    """At most 20 classes by 10 samples on white; images under 48 px are enlarged by a whole factor.

    A fourth channel is drawn as opacity.
    """
    side, channels = images_NHWC.shape[1], images_NHWC.shape[3]
    factor = -(-SMALLEST_CELL // side)
    step = side * factor + GAP
    rows = min(classes, CLASSES)
    canvas = np.full((rows * step + GAP, SAMPLES * step + GAP, channels), 255, np.uint8)
    for label in range(rows):
        for column, index in enumerate(np.flatnonzero(labels_N == label)[:SAMPLES]):
            top, left = GAP + label * step, GAP + column * step
            cell = images_NHWC[index].repeat(factor, axis=0).repeat(factor, axis=1)
            canvas[top : top + side * factor, left : left + side * factor] = cell
    picture = Image.fromarray(canvas[..., 0] if channels == 1 else canvas)
    return over_white(picture) if channels == 4 else picture
