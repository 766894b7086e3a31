"""What is no data set, or only the front of one."""

import bz2
import gzip
import lzma
import pickle
import struct
from collections.abc import Callable

import zstandard

from core.data.limits import MIB
from tests.data.case import Case, case
from tests.data.pack import tar_of, zip_of
from tests.unit.data.builders import encode, folder, idx_images, pixels

UNKNOWN, CUT = "unrecognised_format", "truncated_archive"


def _torch_file() -> bytes:
    return zip_of({
        "archive/data.pkl": pickle.dumps({"weight": [1.0]}, 2), "archive/data/0": bytes(64), "archive/version": b"3\n",
    })  # fmt: skip


KINDS: tuple[tuple[str, str, Callable[[], bytes]], ...] = (
    ("pdf", "a PDF", lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n" * 9),
    ("7z", "a 7z archive", lambda: b"7z\xbc\xaf\x27\x1c\0\4" + bytes(600)),
    ("rar", "a RAR archive", lambda: b"Rar!\x1a\x07\x01\0" + bytes(600)),
    ("bzip2", "a tar.bz2", lambda: bz2.compress(tar_of(folder()))),
    ("text", "plain text", lambda: b"Dear server, please condense this.\n" * 50),
    ("html", "a page that a login answered with", lambda: b"<!DOCTYPE html><title>Sign in</title>" * 20),
    ("pt", "a torch file", _torch_file),
    ("pickle", "a pickle", lambda: pickle.dumps({"images": [1]}, 4)),
    ("png", "a single PNG", lambda: encode(pixels(1)[0])),
    ("jpeg", "a single JPEG", lambda: encode(pixels(1)[0], "JPEG")),
    ("idx", "a single IDX file", lambda: idx_images(pixels(3, 16, 1)[..., 0])),
    ("safetensors", "safetensors", lambda: struct.pack("<Q", 2) + b"{}" + bytes(600)),
    ("elf", "a program", lambda: b"\x7fELF\2\1\1" + bytes(600)),
    ("zeros", "a megabyte of zeros", lambda: bytes(MIB)),
    ("one-byte", "a single byte", lambda: b"P"),
    ("gzip-magic", "the first two bytes of gzip", lambda: b"\x1f\x8b" + bytes(8)),
)
CONTAINERS: tuple[tuple[str, Callable[[], bytes]], ...] = (
    ("zip", lambda: zip_of(folder(each=9))),
    ("tar", lambda: tar_of(folder(each=9)).rstrip(b"\0")),  # padding may go without loss
    ("tar-gz", lambda: gzip.compress(tar_of(folder(each=9)))),
    ("tar-xz", lambda: lzma.compress(tar_of(folder(each=9)))),
    ("tar-zst", lambda: zstandard.compress(tar_of(folder(each=9)))),
)


def _front(make: Callable[[], bytes], percent: int) -> Callable[[], bytes]:
    def cut() -> bytes:
        data = make()
        return data[: len(data) * percent // 100]

    return cut


CASES: tuple[Case, ...] = (
    case("empty", "a file of no bytes", lambda: b"", "empty_file"),
    *(case(f"kind-{name}", about, make, UNKNOWN) for name, about, make in KINDS if name != "gzip-magic"),
    case("kind-gzip-magic", "the first bytes of gzip", KINDS[-1][2], "corrupt_archive"),
    *(
        case(f"cut-{name}-{percent}", f"the first {percent} % of a {name}", _front(make, percent), CUT)
        for name, make in CONTAINERS
        for percent in (2, 50, 98)
    ),
    case("tail-zip", "the last half of a zip", lambda: zip_of(folder())[800:], UNKNOWN),
)
