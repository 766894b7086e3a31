"""One image file to square uint8 pixels.

Rules, the same for every set:
- PNG, JPEG, WebP, BMP, GIF (first frame) and TIFF (first page) are read, found by content.
- Grey is decided by pixel mode: 1-bit, 8-bit and 16-bit grey, with or without alpha. A file stored as
  RGB or palette counts as colour, even where its channels are equal.
- 16-bit grey keeps its high byte. Transparency is laid over white. EXIF orientation is applied.
- To the square: the largest centred square, resampled by Lanczos (which averages the area when it
  shrinks); this equals resizing the shorter side and then cropping the centre.
"""

import warnings
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from core.data.limits import Limits, check_limit
from core.errors import DataError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
DEEP_GREY = ("I;16", "I;16L", "I;16B")
GREY = ("1", "L", "LA", "La", *DEEP_GREY)
COLOUR = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")


class UndecodableImage(Exception):
    """This one file cannot be used; the message is the reason for the report."""


@dataclass(frozen=True, kw_only=True)
class Header:
    height: int
    width: int
    grey: bool


def read_header(data: bytes, *, name: str, limits: Limits) -> Header:
    """Size and kind of an image file, without its pixels.

    Not for use in threads: it changes the process's warning filter while it runs.

    Raises:
        UndecodableImage: not an image of a known format, or of a pixel mode that is not read.
        DataError: `limit_exceeded` for too many pixels.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        image = _open(data, name, limits)
    return Header(height=image.height, width=image.width, grey=image.mode in GREY)


def decode(data: bytes, *, name: str, image_size: int, channels: int, limits: Limits) -> NDArray[np.uint8]:
    """Pixels of an image file as (image_size, image_size, channels).

    Raises:
        UndecodableImage: as `read_header`, or truncated or corrupt pixels.
        DataError: `limit_exceeded` for too many pixels.
    """
    image = _open(data, name, limits)
    try:
        return square(_flatten(ImageOps.exif_transpose(image)), image_size=image_size, channels=channels)
    except MemoryError:
        raise
    except Exception as error:  # decoders answer hostile bytes with almost any exception
        raise UndecodableImage("corrupt or truncated image") from error


def square(image: Image.Image, *, image_size: int, channels: int) -> NDArray[np.uint8]:
    """An L or RGB image as (image_size, image_size, channels)."""
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (image_size, image_size):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        box = (left, top, left + side, top + side)
        image = image.resize((image_size, image_size), Image.Resampling.LANCZOS, box=box)
    return np.asarray(image, np.uint8).reshape(image_size, image_size, channels)


def _open(data: bytes, name: str, limits: Limits) -> Image.Image:
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(
            f"image_pixels of {name!r} is far over the limit of {limits.image_pixels:,}: {error}",
            code="limit_exceeded",
            limit_name="image_pixels",
            limit=limits.image_pixels,
            member=name,
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # as in decode()
        raise UndecodableImage("not an image of a supported format") from error
    check_limit("image_pixels", image.width * image.height, limits.image_pixels, name)
    if image.width < 1 or image.height < 1:
        raise UndecodableImage("image without pixels")
    if image.mode not in GREY and image.mode not in COLOUR:
        raise UndecodableImage(f"pixel mode {image.mode} is not read")
    return image


def _flatten(image: Image.Image) -> Image.Image:
    if image.mode in DEEP_GREY:
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image
