"""Images that declare more than they are, or cannot be decoded."""

import struct
import zlib
from collections.abc import Callable

import numpy as np

from core.data.limits import Limits
from tests.data.case import Case, case
from tests.data.pack import zip_of
from tests.unit.data.builders import encode, folder, pixels


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes, *, depth: int = 1, extra: bytes = b"") -> bytes:
    """A grey PNG of these sides, with filtered rows of any length."""
    header = struct.pack(">2I5B", width, height, depth, 0, 0, 0, 0)
    end = extra + png_chunk(b"IDAT", zlib.compress(rows, 9)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + end


def _tiff(side: int) -> bytes:
    tags = ((256, side), (257, side), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, side), (279, 4))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + bytes(4)


def _bmp(side: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 30, 0, 0, 54) + info + bytes(30)


def _gif(side: int) -> bytes:
    screen = struct.pack("<2HBBB", side, side, 0x80, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<4HB", 0, 0, side, side, 0) + b"\2\2\x4c\1\0"
    return b"GIF89a" + screen + frame + b";"


def _webp() -> bytes:
    """16,384 by 16,384: the most that a lossless header can say."""
    bits = 0x3FFF | 0x3FFF << 14
    body = b"\x2f" + struct.pack("<I", bits) + bytes(9)
    chunk = b"VP8L" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def _jpeg() -> bytes:
    """65,500 by 65,500: the most that JPEG decoders take."""
    data = bytearray(encode(pixels(1)[0], "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">2H", 65_500, 65_500)
    return bytes(data)


def _in_folder(name: str, image: Callable[[], bytes]) -> Callable[[], bytes]:
    return lambda: zip_of({**folder(), f"cat/{name}": image()})


def _all(change: Callable[[bytes], bytes]) -> Callable[[], bytes]:
    return lambda: zip_of({name: change(data) for name, data in folder().items()})


SIDE = 100_000
HUGE: tuple[tuple[str, str, Callable[[], bytes]], ...] = (
    ("png", "100,000 by 100,000", lambda: png(SIDE, SIDE, b"\0")),
    ("tiff", "100,000 by 100,000", lambda: _tiff(SIDE)),
    ("bmp", "100,000 by 100,000", lambda: _bmp(SIDE)),
    ("gif", "65,535 by 65,535", lambda: _gif(65_535)),
    ("webp", "16,384 by 16,384", _webp),
    ("jpeg", "65,500 by 65,500", _jpeg),
)
#: 4.7 MB of text in 5 KB, several times over what Pillow takes from one chunk.
TEXT_BOMB = png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(4_700_000), 9))
NO_IMAGES, LIMIT = "no_images", "limit_exceeded"

CASES: tuple[Case, ...] = (
    *(
        case(f"image-huge-{kind}", f"a {kind} that declares {size} pixels", _in_folder(f"x.{kind}", image),
             LIMIT, limit_name="image_pixels", member=f"cat/x.{kind}", limit=2**24)
        for kind, size, image in HUGE
    ),
    case("image-bomb-png", "13,000 by 13,000 real pixels in 21 KB",
         _in_folder("x.png", lambda: png(13_000, 13_000, bytes(13_000 * 1626))), LIMIT,
         limit_name="image_pixels", member="cat/x.png"),
    case("image-over-limit", "an image a row over the limit",
         _in_folder("x.png", lambda: encode(np.zeros((50, 50, 1), np.uint8))), LIMIT,
         limits=Limits(image_pixels=2499), limit_name="image_pixels", value=2500, member="cat/x.png"),
    case("image-set-over-limit", "more images than allowed", lambda: zip_of(folder(each=10)), LIMIT,
         limits=Limits(images=19), limit_name="images", value=20),
    case("image-set-canonical-bytes", "more pixels than may be written", lambda: zip_of(folder(each=10)), LIMIT,
         limits=Limits(canonical_bytes=999), limit_name="canonical_bytes"),
    case("image-all-headers-cut", "image files that end inside their headers", _all(lambda data: data[:20]),
         NO_IMAGES, skipped=6),
    case("image-all-pixels-cut", "image files that end inside their pixels", _all(lambda data: data[:-40]),
         NO_IMAGES, classes=["cat", "dog"]),
    case("image-all-checksums", "PNGs whose checksums do not hold",
         _all(lambda data: data.replace(b"IDAT", b"IDAU")), NO_IMAGES),
    case("image-one-class-cut", "one class of images that end inside their pixels",
         lambda: zip_of({name: data[:-40] if "cat" in name else data for name, data in folder().items()}),
         NO_IMAGES, classes=["cat"]),
    case("image-all-text-bombs", "PNGs with megabytes of compressed text",
         lambda: zip_of({f"{name}/{i}.png": png(16, 16, bytes(16 * 3), extra=TEXT_BOMB)
                         for name in ("cat", "dog") for i in range(2)}), NO_IMAGES, skipped=4),
    case("image-magic-only", "files that are only the first bytes of an image",
         lambda: zip_of({f"{name}/0.png": b"\x89PNG\r\n\x1a\n\0\0\0\0" for name in ("cat", "dog")}), NO_IMAGES,
         skipped=2),
    case("image-magic-broken", "PNGs without their first bytes", _all(lambda data: data.replace(b"PNG", b"PNX")),
         "unrecognised_format"),
)  # fmt: skip
