"""What the fuzzer starts from: small valid uploads of every format, and how each is edited."""

import gzip
import io
import lzma
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray
from PIL import Image

from core.data.detect import READERS
from tests.data.pack import tar_of, zip_of
from tests.data.small_sets import cifar_binary_sets, parquet_sets, table_sets, webdataset_sets
from tests.fuzz import edits, parquet_edits
from tests.fuzz.mutate import Edit
from tests.unit.data.builders import (
    Files,
    cifar_files,
    encode,
    folder,
    idx_files,
    npy,
    pixels,
)

Arrays = dict[str, NDArray[Any]]
PACKERS: Mapping[str, Callable[[Files], bytes]] = {
    "zip": zip_of,
    "tar": tar_of,
    "tar.gz": lambda files: gzip.compress(tar_of(files), 1),
    "tar.xz": lambda files: lzma.compress(tar_of(files), preset=0),
    "tar.zst": lambda files: zstandard.compress(tar_of(files), 1),
    "file": lambda files: next(iter(files.values()), b""),
}


@dataclass(frozen=True, kw_only=True)
class Seed:
    """`container` is a key of PACKERS; "file" is a single file as it is."""

    container: str
    files: Files


@dataclass(frozen=True, kw_only=True)
class Target:
    """One thing to fuzz.

    Attributes:
        words: what means something in this format, to be put anywhere.
        edits: of a member's bytes.
        single_image: inputs are image files, decoded without a container.
    """

    seeds: tuple[Seed, ...]
    words: tuple[bytes, ...] = ()
    edits: tuple[Edit, ...] = ()
    single_image: bool = False


IMAGE_WORDS = (
    *(
        b"\x89PNG\r\n\x1a\n",
        b"IHDR",
        b"IDAT",
        b"IEND",
        b"\xff\xd8\xff",
        b"\xff\xc0",
        b"\xff\xda",
        b"\xff\xd9",
    ),
    *(b"Exif\0\0", b"GIF89a", b"\x21\xf9\x04", b"\x2c\0\0\0\0", b"RIFF", b"WEBPVP8 ", b"VP8L", b"VP8X"),
    *(b"ALPH", b"ANIM", b"BM", b"II*\0", b"MM\0*", struct.pack("<HHII", 256, 4, 1, 100_000)),
)
PICKLE_WORDS = (
    *(
        b"cos\nsystem\n",
        b"cbuiltins\neval\n",
        b"c__builtin__\nprint\n",
        b"R",
        b"b",
        b"i",
        b"o",
        b"\x81",
        b"\x92",
    ),
    *(
        b"Q",
        b"P0\n",
        b"\x82\1",
        b"(",
        b"0",
        b"2",
        b"1",
        b".",
        b"}",
        b"]",
        b")",
        b"\x94",
        b"h\0",
        b"q\0",
        b"t",
    ),
    *(b"\x85", b"\x86", b"\x87", b"r\xff\xff\xff\xff", b"T\xff\xff\xff\x7f", b"\x8e" + b"\xff" * 8),
    *(
        b"\x8a\xff",
        b"J\xff\xff\xff\x7f",
        b"s",
        b"u",
        b"a",
        b"e",
        b"N",
        b"\x88",
        b"K\0",
        b"G",
        b"I1\n",
        b"L1L\n",
    ),
    b"cnumpy\nndarray\n",
    b"cnumpy\ndtype\n",
    b"cnumpy.core.multiarray\n_reconstruct\n",
    b"c_codecs\nencode\n",
)
NPY_WORDS = (b"\x93NUMPY", b"'descr'", b"'shape'", b"(", b")", b",", b"-1", b"|O", b"2**99", b"True", b"None")
IDX_WORDS = (b"\0\0\x08\1", b"\0\0\x08\3", b"\0\0\x08\4", b"\0\0\x0d\3", b"\x1f\x8b\x08", b"\xff\xff\xff\xff")
WEBDATASET_WORDS = (
    b'{"label": ',
    b'"cls"',
    b"[" * 5000,
    b"1e999",
    b"-1",
    b"\xef\xbb\xbf",
    b"null",
    b"\n",
    b"99",
)
TABLE_WORDS = (
    *(b",", b";", b"\t", b'"', b'""', b"\n", b"\r\n", b"\0", b"\xef\xbb\xbf", b"file_name", b"label"),
    *(b"split", b"test", b"NaN", b"1e999"),
    *(b"{", b"}", b"[" * 5000, b"null", b"\\ud800", b"../", b"/", b"\\", b".png", b"e\xcc\x81"),
)  # fmt: skip
CIFAR_WORDS = (b"\0", b"\xff", b"\n", b"\r\n", b"frog", b"\xef\xbb\xbf", bytes(3073), bytes(3074))
CONTAINER_WORDS = (
    *(b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\7\x08", b"ustar\x0000", b"ustar  \0"),
    *(b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"YZ", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18", b"../", b"\\", b"\0"),
)


def _images() -> Files:
    colour, grey = pixels(1)[0], pixels(1, 16, 1)[0]
    files = {
        f"{kind}.{name}": encode(colour, kind) for kind in ("PNG", "JPEG", "BMP", "TIFF") for name in "a"
    }
    files |= {f"{kind}.grey": encode(grey, kind) for kind in ("PNG", "JPEG", "GIF", "WEBP", "TIFF")}
    rgba = Image.fromarray(np.concatenate([colour, grey], axis=-1))
    deep = Image.fromarray(np.arange(256, dtype=np.uint16).reshape(16, 16) * 257)
    for name, image, kind, options in (
        ("rgba.png", rgba, "PNG", {}),
        ("deep.png", deep, "PNG", {}),
        ("palette.png", rgba.convert("P"), "PNG", {"transparency": 3}),
        ("bits.png", rgba.convert("1"), "PNG", {}),
        ("lossless.webp", rgba, "WEBP", {"lossless": True}),
        ("moving.webp", rgba, "WEBP", {"save_all": True, "append_images": [rgba.rotate(90)]}),
        ("moving.gif", rgba, "GIF", {"save_all": True, "append_images": [rgba.rotate(90)]}),
        ("lzw.tiff", rgba, "TIFF", {"compression": "tiff_lzw"}),
        ("deflate.tiff", rgba.convert("RGB"), "TIFF", {"compression": "tiff_adobe_deflate"}),
        ("jpeg.tiff", rgba.convert("RGB"), "TIFF", {"compression": "jpeg"}),
        ("group4.tiff", rgba.convert("1"), "TIFF", {"compression": "group4"}),
        ("progressive.jpg", rgba.convert("RGB"), "JPEG", {"progressive": True}),
        ("cmyk.jpg", rgba.convert("CMYK"), "JPEG", {}),
        ("palette.bmp", rgba.convert("P"), "BMP", {}),
        ("bits.bmp", rgba.convert("1"), "BMP", {}),
    ):
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        files[name] = buffer.getvalue()
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    rgba.convert("RGB").save(buffer, "JPEG", exif=exif)
    files["turned.jpg"] = buffer.getvalue()
    return files


def _image_folder() -> Files:
    images = list(_images().values())
    return {f"{'ab'[i % 2]}/{i}": images[i] for i in (0, 1, 4, 6, 7, 9)}


def _split_folder() -> Files:
    return folder(each=1, prefix="set/train/") | folder(each=1, prefix="set/val/", seed=1)


def _npz_files() -> tuple[Files, ...]:
    colour, grey, labels = pixels(6), pixels(6, 16, 1)[..., 0], np.arange(6) % 2
    planes = np.ascontiguousarray(colour.transpose(0, 3, 1, 2))
    splits: Arrays = {
        "x_train": colour[:4],
        "y_train": labels[:4],
        "x_test": colour[4:],
        "y_test": labels[4:],
    }
    plain: Arrays = {"images": grey, "labels": labels.astype(np.uint8), "classes": np.array(["no", "yes"])}
    first: Arrays = {
        "train_images": planes,
        "train_labels": labels[:, None],
        "label_names": np.array([b"a", b"b"]),
    }
    return tuple({f"{k}.npy": npy(array) for k, array in one.items()} for one in (splits, plain, first))


def _npy_files() -> Files:
    deep, labels = pixels(6).astype(np.uint16) * 257, np.arange(6) % 2
    arrays: Arrays = {
        "train/images": deep[:4],
        "train/labels": labels[:4],
        "val/x": deep[4:],
        "val/y": labels[4:],
    }
    return {f"{key}.npy": npy(array) for key, array in arrays.items()} | {"README.md": b"text"}


def _in(containers: tuple[str, ...], *sets: Files) -> tuple[Seed, ...]:
    return tuple(Seed(container=container, files=files) for files in sets for container in containers)


def _targets() -> dict[str, Target]:
    containers = (_split_folder(), idx_files(), _npz_files()[1])
    targets = {
        "npz": Target(
            seeds=(*_in(("zip", "zip", "tar"), *_npz_files()), *_in(("zip", "tar"), _npy_files())),
            words=NPY_WORDS,
            edits=(edits.npy_header,),
        ),
        "parquet": Target(
            seeds=(*_in(("file",), *parquet_sets()[:-1]), *_in(("zip", "tar"), parquet_sets()[-1])),
            words=parquet_edits.WORDS,
            edits=(parquet_edits.parquet_parts, parquet_edits.parquet_parts),
        ),
        "webdataset": Target(
            seeds=_in(("tar", "zip"), *webdataset_sets()),
            words=(*CONTAINER_WORDS, *WEBDATASET_WORDS),
            edits=(edits.tar_shard,),
        ),
        "table": Target(
            seeds=_in(("zip", "tar"), *table_sets()), words=TABLE_WORDS, edits=(edits.table_cell,)
        ),
        "cifar_binary": Target(seeds=_in(("zip", "tar"), *cifar_binary_sets()), words=CIFAR_WORDS),
        "cifar": Target(
            seeds=_in(
                ("tar", "tar", "zip"), *(cifar_files(pixels(12, 32), protocol) for protocol in (2, 3, 4))
            ),
            words=PICKLE_WORDS,
        ),
        "idx": Target(seeds=_in(("zip", "tar"), idx_files()), words=IDX_WORDS, edits=(edits.inside_gzip,)),
        "imagefolder": Target(
            seeds=_in(("zip", "tar"), _image_folder(), _split_folder()),
            words=IMAGE_WORDS,
            edits=(edits.png_chunk,),
        ),
        "image": Target(
            seeds=tuple(Seed(container="file", files={name: data}) for name, data in _images().items()),
            words=IMAGE_WORDS,
            edits=(edits.png_chunk,),
            single_image=True,
        ),
    }
    for container in ("zip", "tar", "tar.gz", "tar.xz", "tar.zst"):
        targets[container] = Target(seeds=_in((container,), *containers), words=CONTAINER_WORDS)
    return targets


TARGETS = _targets()
READER_NAMES = tuple(reader.__name__.rpartition(".")[2] for reader in READERS)


def check_every_reader_has_seeds() -> None:
    """Raises LookupError if a reader of uploads would go without fuzzing."""
    if missing := sorted(set(READER_NAMES) - set(TARGETS)):
        raise LookupError(f"no seeds for the reader {', '.join(missing)}: add them to tests/fuzz/seeds.py")
