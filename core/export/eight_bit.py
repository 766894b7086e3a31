"""The lossy form: pixels as image files hold them, in 8 bits.

The exports and the evaluation of `png` share it.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def pixels_NCHW(
    images_NCHW: NDArray[np.float32], mean: tuple[float, ...], std: tuple[float, ...]
) -> NDArray[np.float32]:
    """x · std + mean, float32; real pixels lie in [0, 1], synthetic ones may not. Not clamped."""
    shape = (1, -1, 1, 1)
    return images_NCHW * np.asarray(std, np.float32).reshape(shape) + np.asarray(mean, np.float32).reshape(
        shape
    )


def levels_NHWC(
    images_NCHW: NDArray[np.float32], mean: tuple[float, ...], std: tuple[float, ...]
) -> NDArray[np.uint8]:
    """Clamped to [0, 1] and rounded to the nearest of 256 levels."""
    levels = np.rint(np.clip(pixels_NCHW(images_NCHW, mean, std), 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(levels.transpose(0, 2, 3, 1))


def picture(levels_HWC: NDArray[np.uint8]) -> Image.Image:
    """Of mode L, RGB or RGBA: by the number of channels."""
    return Image.fromarray(levels_HWC[:, :, 0] if levels_HWC.shape[2] == 1 else levels_HWC)


def png(levels_HWC: NDArray[np.uint8]) -> bytes:
    """A PNG file."""
    file = io.BytesIO()
    picture(levels_HWC).save(file, format="PNG")
    return file.getvalue()
