"""Collages: f × f small images in the place of one, enlarged when they are trained on.

IDC (Kim et al., ICML 2022, https://arxiv.org/abs/2205.14959), condense.py, `decode_zoom`.
"""

import numpy as np
import torch
from numpy.typing import NDArray

MOST_FACTOR = 8
BATCH = 256


def decode(
    images_NCHW: NDArray[np.float32], labels_N: NDArray[np.int64], factor: int, grey: tuple[float, ...]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """N · f² images and their labels: each image's tiles row by row, enlarged bilinearly to its own size.

    Where f does not divide a side, the image is first padded at its right and lower edge. Published
    decoders give the same images in another order (tile by tile, over a class or over the whole set).

    Args:
        grey: of the padding, by channel: what a pixel of 0.5 is in the space of the images.
    """
    count, channels, height, width = images_NCHW.shape
    tall, wide = -(-height // factor), -(-width // factor)
    out = np.empty((count, factor * factor, channels, height, width), np.float32)
    for first in range(0, count, BATCH):
        part = images_NCHW[first : first + BATCH]
        padded = np.empty((len(part), channels, tall * factor, wide * factor), np.float32)
        padded[:] = np.asarray(grey, np.float32)[:, None, None]
        padded[:, :, :height, :width] = part
        tiles = padded.reshape(len(part), channels, factor, tall, factor, wide).transpose(0, 2, 4, 1, 3, 5)
        flat = torch.from_numpy(np.ascontiguousarray(tiles).reshape(-1, channels, tall, wide))
        large = torch.nn.functional.interpolate(flat, size=(height, width), mode="bilinear")
        out[first : first + BATCH] = large.numpy().reshape(len(part), factor**2, channels, height, width)
    return out.reshape(-1, channels, height, width), np.repeat(labels_N, factor * factor)
