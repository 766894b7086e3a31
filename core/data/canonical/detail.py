"""How much of what images show is in details that a collage cannot keep."""

import numpy as np
from numpy.typing import NDArray

SAMPLED = 1000
"""Images that are looked at, evenly spread over the split."""


def lost_by_halving(images_NHWC: NDArray[np.uint8]) -> float:
    """The share of the variance within images, of 1, that is gone once they were shrunk to half their size,
    by averaging, and enlarged again bilinearly: as a collage of 2 × 2 keeps them. 0 of images of one colour.

    A last row or column that has no partner is left out.
    """
    step = max(1, len(images_NHWC) // SAMPLED)
    height, width = (side // 2 * 2 for side in images_NHWC.shape[1:3])
    x = np.asarray(images_NHWC[::step][:SAMPLED, :height, :width], np.float32)
    small = x.reshape(len(x), height // 2, 2, width // 2, 2, -1).mean(axis=(2, 4))
    lost = np.square(_doubled(_doubled(small, axis=1), axis=2) - x).mean(dtype=np.float64)
    within = np.square(x - x.mean(axis=(1, 2), keepdims=True)).mean(dtype=np.float64)
    return float(lost / within) if within else 0.0


def _doubled(x: NDArray[np.float32], *, axis: int) -> NDArray[np.float32]:
    """Twice as long along an axis: each new value is three quarters of the nearest and one of the next."""
    first, last = np.take(x, [0], axis), np.take(x, [-1], axis)
    count = x.shape[axis]
    padded = np.concatenate([first, x, last], axis)
    before, after = (np.take(padded, np.arange(start, start + count), axis) for start in (0, 2))
    pairs = np.stack([x + x + x + before, x + x + x + after], axis=axis + 1)
    pairs /= 4
    return pairs.reshape(*x.shape[:axis], 2 * count, *x.shape[axis + 1 :])
