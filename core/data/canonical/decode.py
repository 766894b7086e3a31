"""One image file to square uint8 pixels.

Rules, the same for every set:
- PNG, JPEG, WebP, BMP, GIF (first frame) and TIFF (first page) are read, found by content.
- Grey is decided by pixel mode: 1-bit, 8-bit and 16-bit grey, with or without alpha. A file stored as
  RGB or palette counts as colour, even where its channels are equal.
- 16 bits a channel keep their high byte. 32-bit and signed pixels are not read: their range is not known.
- Transparency is laid over white, or, where four channels are asked for, kept; a file without any is
  opaque. Grey from colour is luma (ITU-R 601-2, as Pillow computes it). EXIF orientation is applied.
- A JPEG of more than four times the wanted size is decoded at a half, a quarter or an eighth of its own,
  never below twice the wanted one: what resampling would average away is not decoded first.
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
DEEP_GREY = ("I;16", "I;16L", "I;16B", "I;16N")
GREY = ("1", "L", "LA", "La", *DEEP_GREY)
COLOUR = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
# 32-bit whole numbers (signed 16-bit ones, too) and floats.
WITHOUT_RANGE = ("I", "F")
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
PNG_GREY_AND_ALPHA = 4


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
    return Header(
        height=image.height, width=image.width, grey=image.mode in GREY or _deep_grey_alpha(image, data)
    )


def decode(data: bytes, *, name: str, image_size: int, channels: int, limits: Limits) -> NDArray[np.uint8]:
    """Pixels of an image file as (image_size, image_size, channels).

    Raises:
        UndecodableImage: as `read_header`, or truncated or corrupt pixels.
        DataError: `limit_exceeded` for too many pixels.
    """
    image = _open(data, name, limits)
    try:
        image.draft(image.mode, (2 * image_size, 2 * image_size))
        levels = _levels(ImageOps.exif_transpose(image), with_alpha=channels == 4)
        return square(levels, image_size=image_size, channels=channels)
    except MemoryError:
        raise
    except Exception as error:  # decoders answer hostile bytes with almost any exception
        raise UndecodableImage("corrupt or truncated image") from error


def square(image: Image.Image, *, image_size: int, channels: int) -> NDArray[np.uint8]:
    """An L, RGB or RGBA image as (image_size, image_size, channels).

    Colours weigh as much as they are opaque; with fewer than four channels alpha is dropped.
    """
    image = image.convert(MODES[channels])
    if image.size != (image_size, image_size):
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        box = (left, top, left + side, top + side)
        image = image.resize((image_size, image_size), Image.Resampling.LANCZOS, box=box)
    return np.asarray(image, np.uint8).reshape(image_size, image_size, channels)


def square_array(image_HWC: NDArray[np.uint8], *, image_size: int, channels: int) -> NDArray[np.uint8]:
    """As `square`, from an array of 1, 3 or 4 channels.

    What a fourth channel means is not known, so it is resampled for itself; only where fewer are asked
    for it is opacity, over white.
    """
    stored = image_HWC.shape[-1]
    image = Image.fromarray(np.ascontiguousarray(image_HWC[..., 0] if stored == 1 else image_HWC))
    if stored == 4 and channels == 4:
        bands = [square(band, image_size=image_size, channels=1) for band in image.split()]
        return np.concatenate(bands, axis=-1)
    return square(over_white(image) if stored == 4 else image, image_size=image_size, channels=channels)


def over_white(image: Image.Image) -> Image.Image:
    """An RGBA image as RGB."""
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


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
    if image.mode in WITHOUT_RANGE:
        raise UndecodableImage(
            f"pixel mode {image.mode} has no fixed range: save it with 8 or 16 bits a channel"
        )
    if image.mode not in GREY and image.mode not in COLOUR:
        raise UndecodableImage(f"pixel mode {image.mode} is not read")
    return image


def _deep_grey_alpha(image: Image.Image, data: bytes) -> bool:
    # Pillow opens grey with alpha as RGBA where it has 16 bits; a PNG says its colour type at a fixed place.
    return image.format == "PNG" and data[25] == PNG_GREY_AND_ALPHA


def _levels(image: Image.Image, *, with_alpha: bool) -> Image.Image:
    """In 8 bits; RGBA only if asked for."""
    if image.mode in DEEP_GREY:
        deep, clear = np.asarray(image), image.info.get("transparency")
        image = Image.fromarray((deep >> 8).astype(np.uint8))
        if clear is not None:
            image.putalpha(Image.fromarray(np.where(deep == clear, 0, 255).astype(np.uint8)))
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    return image if with_alpha else over_white(image)
