"""npz and IDX sets whose headers lie, or whose arrays are no images or labels."""

import gzip
import io
import random
import struct
from collections.abc import Callable

import numpy as np

from core.data.limits import MIB, Limits
from tests.data.case import Case, case
from tests.data.pack import tar_of, zip_of
from tests.data.pickles import Calls
from tests.unit.data.builders import idx_files, idx_images, idx_labels, npy, pixels

IMAGES, LABELS = npy(pixels(4)), npy(np.arange(4) % 2)


def npy_of(text: str, data: bytes = b"", version: int = 1) -> bytes:
    """A .npy with this text as its header."""
    header = text.encode()
    return (
        b"\x93NUMPY"
        + bytes([version, 0])
        + struct.pack("<H" if version == 1 else "<I", len(header))
        + header
        + data
    )


def _shaped(shape: str, *, descr: str = "'|u1'", order: str = "False") -> bytes:
    return npy_of(f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n", bytes(4 * 768))


def _npz(images: bytes = IMAGES, labels: bytes = LABELS, **others: bytes) -> Callable[[], bytes]:
    arrays = {"images": images, "labels": labels, **others}
    return lambda: zip_of({f"{key}.npy": data for key, data in arrays.items()})


def _object_array() -> bytes:
    # numpy writes it as a pickle, which here would call.
    return npy(np.array([Calls()] * 4, object))


def _objects() -> bytes:
    buffer = io.BytesIO()
    # numpy writes an object array as a pickle, which here would call.
    np.savez(buffer, images=np.array([Calls()], object), labels=np.arange(1))
    return buffer.getvalue()


def _codes(*values: int) -> bytes:
    return npy_of("{'descr': '<U1', 'fortran_order': False, 'shape': (2,), }\n", struct.pack("<2I", *values))


def _idx(images: bytes, labels: bytes, **others: bytes) -> Callable[[], bytes]:
    return lambda: zip_of({"images": images, "labels": labels, **others})


def _idx_header(*sides: int) -> bytes:
    return b"\0\0\x08" + bytes([len(sides)]) + struct.pack(f">{len(sides)}I", *sides)


def _large_canonical_set() -> bytes:
    count = 2**20 + 1
    bits = random.Random(0).getrandbits(8 * count).to_bytes(count, "big")
    labels = _idx_header(count) + bytes(byte & 1 for byte in bits)
    return zip_of({"images": _idx_header(count, 256, 256), "labels": labels})


def _gzip_cut(name: str) -> Callable[[], bytes]:
    def cut() -> bytes:
        files = idx_files()
        return zip_of({**files, name: files[name][:-12]})

    return cut


IDX_IMAGES, IDX_LABELS = idx_images(pixels(4, 16, 1)[..., 0]), idx_labels([0, 1, 0, 1])
BAD_NPY, SHAPE, DTYPE, LIMIT = "corrupt_npy", "unsupported_shape", "unsupported_dtype", "limit_exceeded"
MISMATCH, BAD_IDX = "label_mismatch", "corrupt_idx"
HEADERS: tuple[tuple[str, str, bytes, str], ...] = (
    ("huge", "a shape of 2**34 in 3 KB", _shaped("(17179869184,)"), BAD_NPY),
    ("product", "sides whose product is past 64 bits", _shaped("(4294967296, 4294967296, 4)"), BAD_NPY),
    ("negative", "a negative side", _shaped("(-4, 16, 16, 3)"), BAD_NPY),
    ("float-side", "a side of 4.0", _shaped("(4.0, 16, 16, 3)"), BAD_NPY),
    ("boolean-side", "a side of True", _shaped("(True, 16, 16, 3)"), BAD_NPY),
    ("dimensions", "five dimensions", _shaped("(1, 4, 16, 16, 3)"), BAD_NPY),
    ("floats", "float images", npy(pixels(4).astype(np.float32)), DTYPE),
    ("structured", "a structured dtype", _shaped("(4,)", descr="[('a', '|u1'), ('b', '|O')]"), DTYPE),
    ("void", "a dtype of raw bytes", _shaped("(4,)", descr="'|V768'"), DTYPE),
    ("fortran", "images in Fortran order", npy(np.asfortranarray(pixels(4))), SHAPE),
    ("order", "an order that is no boolean", _shaped("(4, 16, 16, 3)", order="[]"), BAD_NPY),
    ("code", "a header that is an expression", npy_of("__import__('os').system('touch canary-sang')\n"), BAD_NPY),
    ("comprehension", "a header that would compute", npy_of("[0 for _ in range(10**9)]\n"), BAD_NPY),
    ("parentheses", "a header of 4,000 open parentheses", npy_of("(" * 4000), BAD_NPY),
    ("minuses", "a header of 4,000 minus signs", npy_of("-" * 4000 + "1"), BAD_NPY),
    ("long-header", "a header that declares 4 GiB", b"\x93NUMPY\2\0" + b"\xff" * 4 + b"{}", BAD_NPY),
    ("cut-header", "an array that ends inside its header", IMAGES[:60], BAD_NPY),
    ("cut", "an array a byte short", IMAGES[:-1], BAD_NPY),
    ("long", "an array a byte too long", IMAGES + b"\0", BAD_NPY),
    ("version", "a .npy of version 9", b"\x93NUMPY\x09\0" + IMAGES[8:], BAD_NPY),
    ("two-channels", "images of two channels", npy(pixels(4, 16, 2)), SHAPE),
    ("no-rows", "an array of no images", npy(pixels(0)), "no_images"),
    ("no-width", "images of no width", npy(np.zeros((4, 16, 0, 3), np.uint8)), "no_images"),
    ("one-pixel-too-wide", "one image of 16.8 million pixels",
     npy(np.zeros((1, 1, 2**24 + 1), np.uint8)), LIMIT),
)  # fmt: skip
LABEL_ARRAYS: tuple[tuple[str, str, bytes, str], ...] = (
    ("count", "more labels than images", npy(np.arange(5)), MISMATCH),
    ("floats", "labels that are halves", npy(np.arange(4) / 2), DTYPE),
    ("nan", "labels that are no numbers", npy(np.full(4, np.nan)), DTYPE),
    ("text", "labels that are text", npy(np.array(["a", "b", "a", "b"])), DTYPE),
    ("one-hot", "labels as rows of ones and zeros", npy(np.eye(4, dtype=np.int64)), MISMATCH),
    ("above", "a label of 2**64 - 1", npy(np.array([0, 1, 0, 2**64 - 1], np.uint64)), MISMATCH),
    ("same", "labels that are all the same", npy(np.zeros(4, np.int64)), "too_few_classes"),
)


def _npy(**arrays: bytes) -> Callable[[], bytes]:
    """Arrays beside one another in a tar; "__" in a name stands for the slash behind a folder."""
    files = {f"{key.replace('__', '/')}.npy": data for key, data in arrays.items()}
    return lambda: tar_of({**files, "README.md": b"text"})


CASES: tuple[Case, ...] = (
    case("npz-objects", "images as pickled objects that would call", _objects, "object_array",
         member="images.npy"),
    *(case(f"npz-{name}", about, _npz(images=data), code, member="images.npy")
      for name, about, data, code in HEADERS),
    *(case(f"npz-labels-{name}", about, _npz(labels=data), code)
      for name, about, data, code in LABEL_ARRAYS),
    case("npz-no-images", "an npz of labels alone", lambda: zip_of({"labels.npy": LABELS}), "no_images"),
    case("npz-no-labels", "an npz of images alone", lambda: zip_of({"images.npy": IMAGES}), MISMATCH,
         member="images.npy"),
    case("npz-images-twice", "two arrays that could be the images", _npz(x=IMAGES), "ambiguous_members"),
    case("npz-test-only", "a test split and no other",
         lambda: zip_of({"x_test.npy": IMAGES, "y_test.npy": LABELS}), "no_training_split", found="test"),
    case("npz-names-short", "labels past the end of the class names",
         _npz(classes=npy(np.array(["only"]))), MISMATCH),
    case("npz-names-twice", "a class name twice", _npz(classes=npy(np.array(["a", "a"]))), MISMATCH),
    case("npz-names-numbers", "class names that are numbers", _npz(classes=npy(np.arange(2))), DTYPE,
         member="classes.npy"),
    case("npz-names-not-unicode", "class names of code points past Unicode",
         _npz(classes=_codes(0x110000, 0xFFFFFFFF)), BAD_NPY, member="classes.npy"),
    case("npz-names-surrogates", "class names of lone surrogates", _npz(classes=_codes(0xD800, 0xDFFF)), BAD_NPY,
         member="classes.npy"),
    case("npz-names-empty-type", "class names of no characters at all",
         _npz(classes=npy_of("{'descr': '<U0', 'fortran_order': False, 'shape': (100000,), }\n")), LIMIT,
         limit_name="classes"),
    case("npz-classes", "10,001 classes",
         lambda: zip_of({"x.npy": npy(pixels(10_001, 1, 1)), "y.npy": npy(np.arange(10_001))}), LIMIT,
         limit_name="classes", value=10_001, limit=10_000),
    case("npz-names-nul", "a class name with a NUL", _npz(classes=npy(np.array(["a\0b", "c"]))), "unsafe_class_name",
         member="classes.npy"),
    case("npy-floats", "float images in one of two splits",
         _npy(train__images=IMAGES, train__labels=LABELS, val__images=npy(np.zeros((4, 8, 8))), val__labels=LABELS),
         DTYPE, member="val/images.npy"),
    case("npy-objects", "labels as pickled objects that would call",
         lambda: _npy(x=IMAGES, y=_object_array())(), "object_array", member="y.npy"),
    case("npy-signed", "images of signed 16-bit numbers", _npy(x=npy(np.zeros((4, 8, 8), np.int16)), y=LABELS), DTYPE,
         member="x.npy"),
    case("npy-no-labels", "a split without labels", _npy(x_train=IMAGES, y_train=LABELS, x_test=IMAGES), MISMATCH,
         member="x_test.npy"),
    case("npy-two-candidates", "two arrays that could be the training images",
         _npy(train__images=IMAGES, x_train=IMAGES, train__labels=LABELS), "ambiguous_members", member="x_train.npy"),
    case("npy-fortran", "16-bit images in Fortran order",
         _npy(x=npy(np.asfortranarray(pixels(4).astype(np.uint16))), y=LABELS), SHAPE, member="x.npy"),
    case("npy-shape", "a shape of one image more than there is", _npy(x=_shaped("(5, 16, 16, 3)"), y=LABELS), BAD_NPY,
         member="x.npy"),
    case("npy-shape-labels", "labels whose shape says four million",
         _npy(x=IMAGES, y=npy_of("{'descr': '<i8', 'fortran_order': False, 'shape': (4000000,), }\n", bytes(32))),
         BAD_NPY, member="y.npy"),
    case("npy-channels-differ", "splits of one and of three channels",
         _npy(x_train=IMAGES, y_train=LABELS, x_val=npy(pixels(4, 16, 1)), y_val=LABELS), SHAPE),
    case("npy-unnamed", "arrays without a known name", _npy(first=IMAGES, second=LABELS), "unrecognised_format"),
    case("npy-alone", "images and no labels", _npy(images=IMAGES), MISMATCH, member="images.npy"),
    case("idx-images-limit", "a header of 10,000,001 images", _idx(_idx_header(10_000_001, 1, 1), IDX_LABELS),
         LIMIT, limit_name="images", member="images"),
    case("idx-pixels-limit", "a header of 2**31 by 2**31 pixels",
         _idx(_idx_header(4, 2**31, 2**31), IDX_LABELS), LIMIT, limit_name="image_pixels", member="images"),
    case("idx-canonical-bytes", "a header of 64 GiB of pixels, in 150 KB", _large_canonical_set, LIMIT,
         limit_name="canonical_bytes"),
    case("idx-no-rows", "a header of no images", _idx(_idx_header(0, 16, 16), _idx_header(0)), "no_images"),
    case("idx-zero-side", "a header of no pixels", _idx(_idx_header(4, 0, 16), IDX_LABELS), "no_images"),
    case("idx-cut-header", "a file that ends inside its header", _idx(IDX_IMAGES[:11], IDX_LABELS), BAD_IDX,
         member="images"),
    case("idx-cut", "images a byte short", _idx(IDX_IMAGES[:-1], IDX_LABELS), "corrupt_array", member="images"),
    case("idx-long", "images a byte too long", _idx(IDX_IMAGES + b"x", IDX_LABELS), "corrupt_array",
         member="images"),
    case("idx-labels-cut", "labels a byte short", _idx(IDX_IMAGES, IDX_LABELS[:-1]), BAD_IDX, member="labels"),
    case("idx-labels-count", "fewer labels than images", _idx(IDX_IMAGES, idx_labels([0, 1])), MISMATCH,
         member="images"),
    case("idx-no-labels", "images alone", lambda: zip_of({"images": IDX_IMAGES}), MISMATCH, member="images"),
    case("idx-images-twice", "two files of training images",
         _idx(IDX_IMAGES, IDX_LABELS, **{"more-images": IDX_IMAGES}), "ambiguous_members"),
    case("idx-one-class", "labels that are all the same", _idx(IDX_IMAGES, idx_labels([1] * 4)), "too_few_classes"),
    case("idx-gz-cut", "gzipped images cut short", _gzip_cut("train-images-idx3-ubyte.gz"), "truncated_archive",
         member="train-images-idx3-ubyte.gz"),
    case("idx-gz-labels-cut", "gzipped labels cut short", _gzip_cut("train-labels-idx1-ubyte.gz"),
         "truncated_archive", member="train-labels-idx1-ubyte.gz"),
    case("idx-gz-bomb", "gzipped images that expand a thousandfold",
         lambda: zip_of({"images.gz": gzip.compress(_idx_header(32_768, 16, 16) + bytes(8 * MIB)),
                         "labels": _idx_header(32_768) + bytes(i % 2 for i in range(32_768))}), LIMIT,
         limit_name="ratio", member="images.gz"),
    case("idx-images-over-limit", "more images than allowed", _idx(IDX_IMAGES, IDX_LABELS), LIMIT,
         limits=Limits(images=3), limit_name="images", value=4),
)  # fmt: skip
