"""Every kind of image file that is read: written here, and held against what its pixels must become."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from core.data.canonical.decode import UndecodableImage, decode, read_header
from core.data.limits import Limits

SIDE = 16
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
RGB = RNG.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
ALPHA = RNG.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (SIDE, SIDE, 4), dtype=np.uint16)
BITS = (GREY > 127).astype(np.uint8)
PALETTE = RNG.integers(0, 256, (16, 3), dtype=np.uint8)
INDEX = RNG.integers(0, 16, (SIDE, SIDE), dtype=np.uint8)
FLAT = np.broadcast_to(np.array([200, 40, 90], np.uint8), (SIDE, SIDE, 3))
HIGH = (DEEP >> 8).astype(np.uint8)

Pixels = NDArray[Any]


def over_white(rgb: Pixels, alpha: Pixels) -> Pixels:
    opacity = alpha[..., None] / 255
    return np.rint(rgb * opacity + 255 * (1 - opacity)).astype(np.uint8)


def three(grey: Pixels) -> Pixels:
    return grey[..., None].repeat(3, -1)


def saved(pixels: Image.Image | Pixels, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.ascontiguousarray(pixels))
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(pixels: NDArray[Any], colour_type: int, depth: int, **chunks: bytes) -> bytes:
    """Written by hand: Pillow writes neither 16-bit colour nor 2 and 4 bits."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = pixels.reshape(SIDE, -1)
    if depth == 16:
        lines = [row.astype(">u2").tobytes() for row in rows]
    else:
        lines = [
            np.packbits(np.unpackbits(row[:, None], axis=1)[:, 8 - depth :].ravel()).tobytes() for row in rows
        ]
    header = struct.pack(">2I5B", SIDE, SIDE, depth, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + b"".join(chunk(name.encode(), data) for name, data in chunks.items())
        + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + line for line in lines)))
        + chunk(b"IEND", b"")
    )


def tiff(pixels: NDArray[Any], order: str, *, sample_format: int = 1, big: bool = False) -> bytes:
    """Uncompressed, one strip, in either byte order; BigTIFF too."""
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    data = pixels.astype(f"{order}{pixels.dtype.str[1:]}").tobytes()
    word, count_of = ("Q", "Q") if big else ("I", "H")
    many = np.array([pixels.dtype.itemsize * 8] * channels), np.array([sample_format] * channels)
    start = 16 if big else 8
    entries = 9 + (channels == 4)
    after = start + (8 if big else 2) + entries * (20 if big else 12) + (8 if big else 4)
    extra = b"".join(struct.pack(f"{order}{channels}H", *values) for values in many)
    tags: list[tuple[int, str, Any]] = [
        (256, "H", SIDE), (257, "H", SIDE), (258, "H", many[0]), (259, "H", 1),
        (262, "H", 2 if channels > 1 else 1), (273, "I", after + len(extra)), (277, "H", channels),
        (279, "I", len(data)), *([(338, "H", 2)] if channels == 4 else []), (339, "H", many[1]),
    ]  # fmt: skip
    out = struct.pack(f"{order}{count_of}", len(tags))
    room = 8 if big else 4
    for tag, kind, value in tags:
        values = np.atleast_1d(value)
        raw = struct.pack(f"{order}{len(values)}{kind}", *values.tolist())
        if len(raw) > room:
            place = after + (0 if tag == 258 else 2 * channels)
            raw = struct.pack(f"{order}{word}", place)
        out += struct.pack(f"{order}HH{word}", tag, {"H": 3, "I": 4}[kind], len(values)) + raw.ljust(
            room, b"\0"
        )
    mark = b"II" if order == "<" else b"MM"
    head = (
        mark + struct.pack(f"{order}HHHQ", 43, 8, 0, 16) if big else mark + struct.pack(f"{order}HI", 42, 8)
    )
    return head + out + bytes(8 if big else 4) + extra + data


def palette_image() -> Image.Image:
    image = Image.fromarray(INDEX).convert("P")
    image.putdata(INDEX.ravel().tolist())
    image.putpalette(PALETTE.tobytes())
    return image


COLOURS = PALETTE[INDEX]
CLEAR_FIRST = np.where(INDEX == 3, 0, 255).astype(np.uint8)
KEY = tuple(int(value) for value in RGB[2, 5])
KEYED = np.where((RGB == KEY).all(-1), 0, 255).astype(np.uint8)
DEEP_KEYED = np.where(DEEP[..., 0] == DEEP[4, 4, 0], 0, 255).astype(np.uint8)
CMYK = np.full((SIDE, SIDE, 4), (30, 60, 90, 50), np.uint8)
CMYK_AS_RGB = np.rint((255 - CMYK[..., :3].astype(float)) * (255 - CMYK[..., 3:]) / 255)

#: name: (the file, its RGB after all, whether it is grey, how far a pixel may be off).
KINDS: dict[str, tuple[Callable[[], bytes], NDArray[Any], bool, int]] = {
    "png 1 bit": (lambda: saved(Image.fromarray(BITS * 255).convert("1"), "PNG"), three(BITS * 255), True, 0),
    "png 2 bits": (lambda: png(GREY >> 6, 0, 2), three((GREY >> 6) * 85), True, 0),
    "png 4 bits": (lambda: png(GREY >> 4, 0, 4), three((GREY >> 4) * 17), True, 0),
    "png grey": (lambda: saved(GREY, "PNG"), three(GREY), True, 0),
    "png grey and alpha": (
        lambda: png(np.stack([GREY, ALPHA], -1), 4, 8), over_white(three(GREY), ALPHA), True, 0,
    ),
    "png grey with a transparent level": (
        lambda: saved(GREY, "PNG", transparency=int(GREY[0, 0])),
        np.where(three(GREY) == GREY[0, 0], 255, three(GREY)), True, 0,
    ),
    "png 16-bit grey": (lambda: png(DEEP[..., 0], 0, 16), three(HIGH[..., 0]), True, 0),
    "png 16-bit grey with a transparent level": (
        lambda: png(DEEP[..., 0], 0, 16, tRNS=struct.pack(">H", DEEP[4, 4, 0])),
        over_white(three(HIGH[..., 0]), DEEP_KEYED), True, 0,
    ),
    "png 16-bit grey and alpha": (
        lambda: png(DEEP[..., :2], 4, 16), over_white(three(HIGH[..., 0]), HIGH[..., 1]), True, 0,
    ),
    "png rgb": (lambda: saved(RGB, "PNG"), RGB, False, 0),
    "png rgb with a transparent colour": (
        lambda: saved(RGB, "PNG", transparency=KEY), over_white(RGB, KEYED), False, 0,
    ),
    "png rgba": (lambda: saved(np.dstack([RGB, ALPHA]), "PNG"), over_white(RGB, ALPHA), False, 0),
    "png 16-bit rgb": (lambda: png(DEEP[..., :3], 2, 16), HIGH[..., :3], False, 0),
    "png 16-bit rgba": (lambda: png(DEEP, 6, 16), over_white(HIGH[..., :3], HIGH[..., 3]), False, 0),
    "png palette": (lambda: saved(palette_image(), "PNG"), COLOURS, False, 0),
    "png palette with a transparent entry": (
        lambda: saved(palette_image(), "PNG", transparency=3), over_white(COLOURS, CLEAR_FIRST), False, 0,
    ),
    "gif palette": (lambda: saved(palette_image(), "GIF"), COLOURS, False, 0),
    "gif of two frames, the first transparent": (
        lambda: saved(
            palette_image(), "GIF", transparency=3, save_all=True, append_images=[Image.fromarray(GREY)]
        ),
        over_white(COLOURS, CLEAR_FIRST), False, 0,
    ),
    "jpeg grey": (lambda: saved(np.full((SIDE, SIDE), 77, np.uint8), "JPEG", quality=100), three(
        np.full((SIDE, SIDE), 77, np.uint8)), True, 1),
    "jpeg rgb": (lambda: saved(FLAT, "JPEG", quality=100), FLAT, False, 3),
    "jpeg cmyk": (lambda: saved(Image.fromarray(CMYK, "CMYK"), "JPEG", quality=100), CMYK_AS_RGB, False, 4),
    "webp rgb": (lambda: saved(RGB, "WEBP", lossless=True), RGB, False, 0),
    "webp rgba": (
        lambda: saved(np.dstack([RGB, ALPHA]), "WEBP", lossless=True, exact=True),
        over_white(RGB, ALPHA), False, 0,
    ),
    "bmp rgb": (lambda: saved(RGB, "BMP"), RGB, False, 0),
    "bmp grey": (lambda: saved(GREY, "BMP"), three(GREY), True, 0),
    "bmp 1 bit": (lambda: saved(Image.fromarray(BITS * 255).convert("1"), "BMP"), three(BITS * 255), True, 0),
    "tiff 1 bit": (
        lambda: saved(Image.fromarray(BITS * 255).convert("1"), "TIFF"), three(BITS * 255), True, 0,
    ),
    "tiff palette": (lambda: saved(palette_image(), "TIFF"), COLOURS, False, 0),
    "tiff grey and alpha": (
        lambda: saved(Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(ALPHA)]), "TIFF"),
        over_white(three(GREY), ALPHA), True, 0,
    ),
    "tiff cmyk": (lambda: saved(Image.fromarray(CMYK, "CMYK"), "TIFF"), CMYK_AS_RGB, False, 1),
    "tiff deflated": (lambda: saved(RGB, "TIFF", compression="tiff_deflate"), RGB, False, 0),
    "bigtiff": (lambda: tiff(RGB, "<", big=True), RGB, False, 0),
    **{
        f"tiff {order} {name}": (lambda a=stored, o=order: tiff(a, o), expected, stored.ndim == 2, 0)  # type: ignore[misc]
        for order in "<>"
        for name, stored, expected in (
            ("grey", GREY, three(GREY)),
            ("rgb", RGB, RGB),
            ("rgba", np.dstack([RGB, ALPHA]), over_white(RGB, ALPHA)),
            ("16-bit grey", DEEP[..., 0], three(HIGH[..., 0])),
            ("16-bit rgb", DEEP[..., :3], HIGH[..., :3]),
            ("16-bit rgba", DEEP, over_white(HIGH[..., :3], HIGH[..., 3])),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_kind(kind: str) -> None:
    make, expected, grey, tolerance = KINDS[kind]
    data = make()
    assert read_header(data, name=kind, limits=Limits()).grey is grey
    found = decode(data, name=kind, image_size=SIDE, channels=3, limits=Limits()).astype(int)
    assert np.abs(found - expected).max() <= tolerance
    if grey:
        one = decode(data, name=kind, image_size=SIDE, channels=1, limits=Limits()).astype(int)
        assert np.abs(one - expected[..., :1]).max() <= tolerance


@pytest.mark.parametrize(
    ("kind", "alpha"),
    [
        ("png rgba", ALPHA),
        ("png grey and alpha", ALPHA),
        ("png rgb with a transparent colour", KEYED),
        ("png 16-bit grey with a transparent level", DEEP_KEYED),
        ("png palette with a transparent entry", CLEAR_FIRST),
        ("png palette", np.full_like(ALPHA, 255)),
        ("jpeg cmyk", np.full_like(ALPHA, 255)),
        ("tiff < 16-bit rgba", HIGH[..., 3]),
    ],
)
def test_opacity_is_kept_where_four_channels_are_asked_for(kind: str, alpha: Pixels) -> None:
    found = decode(KINDS[kind][0](), name=kind, image_size=SIDE, channels=4, limits=Limits())
    np.testing.assert_array_equal(found[..., 3], alpha)


@pytest.mark.parametrize("dtype", ["<i2", "<i4", "<f4"])
def test_pixels_without_a_range_are_skipped_with_a_reason(dtype: str) -> None:
    sample_format = {"i": 2, "f": 3}[dtype[1]]
    data = tiff(GREY.astype(dtype), "<", sample_format=sample_format)
    with pytest.raises(UndecodableImage, match="has no fixed range: save it with 8 or 16 bits"):
        read_header(data, name="x", limits=Limits())


UPRIGHT = RNG.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
#: Exif 2.3, 4.6.4: the stored picture whose display is UPRIGHT.
STORED: dict[int, Pixels] = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.transpose(1, 0, 2),
    6: np.rot90(UPRIGHT, 1),
    7: np.rot90(UPRIGHT, 2).transpose(1, 0, 2),
    8: np.rot90(UPRIGHT, -1),
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_orientation(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: Any = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(kind, {})
    data = saved(STORED[orientation], kind, exif=exif, **options)
    found = decode(data, name="x", image_size=SIDE, channels=3, limits=Limits()).astype(int)
    assert np.abs(found - UPRIGHT).max() <= (6 if kind == "JPEG" else 0)
