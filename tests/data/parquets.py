"""Parquet files whose footers or pages lie, that would fill the memory, or that hold no labelled images."""

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from core.data.limits import MIB, Limits
from tests.data import raw_parquet as raw
from tests.data.case import Case, case
from tests.data.pack import zip_of
from tests.data.raw_parquet import Parquet, lay_out, put_together, take_apart, with_footer
from tests.data.small_sets import FEATURES, images, parquet
from tests.data.thrift import BINARY, I32, I64, LIST, STRUCT, Items, Struct, varint, write
from tests.unit.data.builders import encode, pixels

PLAIN: dict[str, Any] = {"use_dictionary": False, "compression": "none"}
LABELS = [0, 1] * 2


def _good(**options: Any) -> bytes:
    return parquet({"image": images(), "label": LABELS}, **{**PLAIN, **options})


def _of(**columns: Any) -> Callable[[], bytes]:
    return lambda: parquet(columns)


def _classes(names: object, labels: object = LABELS) -> Callable[[], bytes]:
    features = {"label": {"_type": "ClassLabel", "names": names}}
    return lambda: parquet({"image": images(), "label": labels}, features)


def _pages(change: Callable[[list[raw.Page]], None], column: int = 0, **options: Any) -> Callable[[], bytes]:
    """The pages of a column changed, the footer made to fit."""

    def make() -> bytes:
        parts = take_apart(_good(**options))
        change(parts.chunks[column])
        return put_together(parts)

    return make


def _header(change: Callable[[Struct], None], **options: Any) -> Callable[[], bytes]:
    """The header of the first page of the images changed."""
    return _pages(lambda pages: change(pages[0].header), **options)


def _footer(change: Callable[[Parquet], None]) -> Callable[[], bytes]:
    """The footer changed, after all in it was made to fit."""

    def make() -> bytes:
        parts = take_apart(_good())
        pages = lay_out(parts)
        change(parts)
        return with_footer(pages, write(parts.footer))

    return make


def _column(change: Callable[[Struct], None]) -> Callable[[], bytes]:
    """What the footer says of the images changed."""
    return _footer(lambda parts: change(next(parts.columns())))


def _set(*path: int, to: Any) -> Callable[[Struct], None]:
    def change(tree: Struct) -> None:
        for number in path[:-1]:
            tree = tree[number]
        tree[path[-1]] = to

    return change


def _with_length(length: int) -> bytes:
    return _good()[:-8] + struct.pack("<I", length) + b"PAR1"


def _group(parts: Parquet) -> Struct:
    group: Struct = parts.footer[raw.ROW_GROUPS].values[0]
    return group


def _column_bomb(parts: Parquet) -> None:
    column = _group(parts)[raw.COLUMNS].values[0]
    column[raw.META].fields = [one for one in column[raw.META].fields if one[0] <= raw.DATA_AT]
    columns = Items(STRUCT, [column] * 60_000)
    parts.footer[raw.ROW_GROUPS].values.append(Struct([[1, LIST, columns], [2, I64, 0], [3, I64, 0]]))


def _contradiction(parts: Parquet) -> None:
    # Arrow answers with an exception where its Python side expects none, and the process ends.
    columns = _group(parts)[raw.COLUMNS].values
    columns[1] = columns[0]


def _raw_header(change: Callable[[bytes], bytes]) -> Callable[[], bytes]:
    """The bytes of the first page header changed; its body follows."""

    def make() -> bytes:
        cells = [encode(image) for image in pixels(4, 64)]
        parts = take_apart(parquet({"image": cells, "label": LABELS}, **PLAIN, write_statistics=False))
        page = parts.chunks[0][0]
        changed = change(write(page.header))
        data = put_together(parts)
        at = data.index(write(page.header))
        return data[:at] + changed + data[at + len(changed) :]

    return make


def _five_values() -> bytes:
    parts = take_apart(_good())
    parts.footer[raw.ROWS] = _group(parts)[raw.GROUP_ROWS] = 5
    for column, (page,) in zip(parts.columns(), parts.chunks, strict=True):
        column[raw.VALUES] = page.header[raw.DATA_PAGE][raw.PAGE_VALUES] = 5
    return put_together(parts)


def _one_large_value() -> bytes:
    cells = [b"\x89PNG\r\n\x1a\n" + bytes(21 * MIB), *images()[1:]]
    page_of_its_own: dict[str, Any] = {"data_page_size": 1, "write_batch_size": 1}
    return parquet(
        {"image": cells, "label": LABELS}, compression="zstd", use_dictionary=False, **page_of_its_own
    )


def _repeated(**options: Any) -> bytes:
    big = encode(np.zeros((300, 300, 3), np.uint8), "BMP")
    return parquet({"image": [big] * 200, "label": [0, 1] * 100}, **options)


def _bad_checksum() -> bytes:
    data = _good(write_page_checksum=True, write_statistics=False)
    at = data.index(images()[2]) + 100
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _nested_type(parts: Parquet) -> None:
    levels = [Struct([[3, I32, 0], [4, BINARY, b"a"], [5, I32, 1]])] * 50_000
    schema = parts.footer[raw.SCHEMA].values
    schema[0][5] = 3
    schema += [*levels, Struct([[1, I32, 1], [3, I32, 0], [4, BINARY, b"z"]])]


BAD, LIMIT, DTYPE, MISMATCH = "corrupt_parquet", "limit_exceeded", "unsupported_dtype", "label_mismatch"
#: An unknown field, whose list holds a list, and so on.
LISTS_IN_LISTS = b"\x99" + b"\x19" * 40_000

CASES: tuple[Case, ...] = (
    case("parquet-cut", "a file a byte short", lambda: _good()[:-1], BAD, member="upload"),
    case("parquet-cut-in-footer", "a file that ends inside its footer", lambda: _good()[:-100], BAD),
    case("parquet-magic-only", "the first four bytes of a file", lambda: b"PAR1", BAD),
    case("parquet-nothing", "nothing between the first and the last four bytes",
         lambda: b"PAR1" + bytes(4) + b"PAR1", BAD),
    case("parquet-footer-long", "a footer longer than the file", lambda: _with_length(10**6), BAD),
    case("parquet-footer-short", "a footer of five bytes", lambda: _with_length(5), BAD),
    case("parquet-footer-2g", "a footer of 2 GiB", lambda: _with_length(2**31), BAD),
    case("parquet-footer-zeros", "a footer of zeros",
         lambda: with_footer(lay_out(take_apart(_good())), bytes(400)), BAD),
    case("parquet-footer-encrypted", "an encrypted footer behind plain pages", lambda: _good()[:-4] + b"PARE", BAD),
    case("parquet-encrypted", "a file that is encrypted as a whole",
         lambda: b"PARE" + _good()[4:-4] + b"PARE", "unrecognised_format", seen="an encrypted Parquet file"),
    case("parquet-footer-columns", "a footer of 60,000 columns", _footer(_column_bomb), BAD),
    case("parquet-footer-count", "a footer that lists a billion row groups in a kilobyte",
         _footer(lambda parts: setattr(parts.footer[raw.ROW_GROUPS], "count", 2**30)), BAD),
    case("parquet-footer-texts", "a footer of 400,000 empty texts",
         _column(_set(raw.PATH, to=Items(BINARY, [b""] * 400_000))), BAD),
    case("parquet-footer-text", "a text of 2 GiB in a footer of a kilobyte",
         lambda: _good().replace(b"\x18" + varint(25) + b"parquet-cpp", b"\x18" + varint(2**31)[:1] + b"parquet-cpp", 1)
         .replace(b"parquet-cpp-arrow", b"\xff\xff\xff\xff\x07cpp-arrow", 1), BAD),
    case("parquet-footer-twice", "a column's size given twice",
         _column(lambda column: column.add(raw.COMPRESSED, I64, 2**40)), BAD),
    case("parquet-footer-contradiction", "a number column with the metadata of a binary one",
         _footer(_contradiction), BAD),
    case("parquet-schema-deep", "a schema 50,000 levels deep", _footer(_nested_type), BAD),
    case("parquet-schema-children", "a schema of more columns than it lists",
         _footer(lambda parts: _set(5, to=2**31 - 1)(parts.footer[raw.SCHEMA].values[0])), BAD),
    case("parquet-columns-missing", "a row group of one column fewer than the schema",
         _footer(lambda parts: _group(parts)[raw.COLUMNS].values.pop()), BAD),
    case("parquet-rows-more", "more rows than its row groups hold",
         _footer(lambda parts: _set(raw.ROWS, to=5)(parts.footer)), BAD),
    case("parquet-rows-negative", "-1 rows", _footer(lambda parts: _set(raw.ROWS, to=-1)(parts.footer)), BAD),
    case("parquet-rows-limit", "a footer of 10,000,001 rows",
         _footer(lambda parts: _set(raw.ROWS, to=10_000_001)(parts.footer)), LIMIT, limit_name="images",
         value=10_000_001),
    case("parquet-group-rows", "a row group of more rows than its columns have values",
         _footer(lambda parts: _set(raw.GROUP_ROWS, to=5)(_group(parts))), BAD),
    case("parquet-column-beyond", "a column past the end of the file", _column(_set(raw.DATA_AT, to=2**40)), BAD),
    case("parquet-column-negative", "a column before the file", _column(_set(raw.DATA_AT, to=-5)), BAD),
    case("parquet-column-size", "a column of 2**62 bytes", _column(_set(raw.COMPRESSED, to=2**62)), BAD),
    case("parquet-codec", "a codec that nobody reads (LZO)", _column(_set(raw.CODEC, to=3)), BAD),
    case("parquet-codec-lie", "pages that are not of the codec that they name", _column(_set(raw.CODEC, to=6)), BAD),
    case("parquet-page-2g", "a page that declares 2 GiB",
         _header(_set(raw.PAGE_UNCOMPRESSED, to=2**31 - 1), compression="snappy"), BAD),
    case("parquet-page-120m", "a page of four images that declares 120 MiB",
         _header(_set(raw.PAGE_UNCOMPRESSED, to=120 * MIB), compression="snappy"), BAD),
    case("parquet-page-negative", "a page of -1 bytes", _header(_set(raw.PAGE_UNCOMPRESSED, to=-1)), BAD),
    case("parquet-page-beyond", "a page that reaches past its column",
         _header(_set(raw.PAGE_COMPRESSED, to=50 * MIB)), BAD),
    case("parquet-page-short", "a page that expands to more than it declares",
         _header(_set(raw.PAGE_UNCOMPRESSED, to=100), compression="snappy"), BAD),
    case("parquet-page-values", "a page that declares more values than it holds",
         _five_values, BAD),
    case("parquet-page-few", "pages of fewer values than the column", _header(_set(raw.DATA_PAGE, 1, to=3)), BAD),
    case("parquet-page-wide", "a number of values that is 1 in 32 bits and 4 in 33",
         _header(_set(raw.DATA_PAGE, 1, to=2**32 + 1)), BAD),
    case("parquet-page-kind", "a data page of version 2 by its kind and of version 1 by its details",
         _header(_set(raw.PAGE_TYPE, to=3)), BAD),
    case("parquet-page-lists", "a page header of lists in lists", _raw_header(lambda _: LISTS_IN_LISTS), BAD),
    case("parquet-page-encoding", "a page of an encoding that there is not",
         _header(_set(raw.DATA_PAGE, raw.PAGE_ENCODING, to=99)), BAD),
    case("parquet-page-checksum", "a page whose checksum does not hold", _bad_checksum, BAD),
    case("parquet-dictionary-late", "a dictionary behind the first page",
         _pages(lambda pages: pages.reverse(), use_dictionary=True), BAD),
    case("parquet-dictionary-values", "a dictionary of 2**31 - 1 values in a kilobyte",
         _header(_set(raw.DICTIONARY_PAGE, 1, to=2**31 - 1), use_dictionary=True), LIMIT,
         limit_name="memory_bytes"),
    case("parquet-dictionary-bomb", "54 MB of images that are one entry of a dictionary",
         lambda: _repeated(dictionary_pagesize_limit=2**30), LIMIT, limit_name="ratio"),
    case("parquet-delta-bomb", "54 MB of images that repeat their predecessor's bytes",
         lambda: _repeated(use_dictionary=False, column_encoding={"image": "DELTA_BYTE_ARRAY"}), LIMIT,
         limit_name="ratio"),
    case("parquet-image-bytes", "an image of 21 MiB in 10 KB", _one_large_value, LIMIT,
         limits=Limits(image_bytes=20 * MIB), limit_name="image_bytes"),
    case("parquet-image-pixels", "an image of more pixels than allowed", _good, LIMIT,
         limits=Limits(image_pixels=63), limit_name="image_pixels", member="upload, row 0"),
    case("parquet-images", "more images than allowed", _good, LIMIT, limits=Limits(images=3), limit_name="images",
         value=4),
    case("parquet-classes", "more classes than allowed", _good, LIMIT, limits=Limits(classes=1),
         limit_name="classes"),
    case("parquet-no-image", "no column that could hold images", _of(text=["a"] * 4, label=LABELS),
         "no_image_column", columns=["text", "label"]),
    case("parquet-no-label", "no column of labels", _of(image=images(), **{"x\0y": LABELS}), "no_label_column",
         columns=["image", "x\\0y"]),
    case("parquet-two-images", "two columns of images", _of(left=images(), right=images(), label=LABELS),
         "ambiguous_columns", columns=["left", "right"]),
    case("parquet-two-labels", "two columns of labels", _of(image=images(), target=LABELS, category=LABELS),
         "ambiguous_columns", columns=["target", "category"]),
    case("parquet-column-twice", "two columns of one name",
         lambda: put_together(_renamed(take_apart(parquet({"image": images(), "imago": images(), "label": LABELS})))),
         BAD),
    case("parquet-image-list", "lists of images", _of(image=[[one] for one in images()], label=LABELS), DTYPE),
    case("parquet-image-numbers", "images as rows of numbers", _of(image=[[1, 2, 3]] * 4, label=LABELS), DTYPE),
    case("parquet-image-nested", "images two structs deep",
         _of(image=[{"a": {"bytes": one}} for one in images()], label=LABELS), DTYPE),
    case("parquet-label-list", "lists of labels", _of(image=images(), label=[[0], [1]] * 2), DTYPE),
    case("parquet-label-floats", "labels that are halves", _of(image=images(), label=[0.5, 1.5] * 2), DTYPE),
    case("parquet-label-bytes", "labels that are bytes", _of(image=images(), label=[b"a", b"b"] * 2), DTYPE),
    case("parquet-label-above", "a label past the end of the class names", _classes(["a"]), MISMATCH, value="1",
         limit=1),
    case("parquet-label-below", "a label of -2", _classes(["a", "b"], [0, 1, -2, 0]), MISMATCH, value="-2"),
    case("parquet-label-nul", "a class name with a NUL", _of(image=images(), label=["a\0", "b"] * 2),
         "unsafe_class_name", member="upload"),
    case("parquet-labels-null", "no label but null", _of(image=images(), label=pa.array([None] * 4, pa.int64())),
         "no_images"),
    case("parquet-images-null", "no image but null", _of(image=pa.array([None] * 4, pa.binary()), label=LABELS),
         "no_images", skipped=4),
    case("parquet-images-text", "images that are none", _of(image=[b"text"] * 4, label=LABELS), "no_images",
         skipped=4),
    case("parquet-names-numbers", "class names that are numbers", _classes([1, 2]), MISMATCH),
    case("parquet-names-twice", "a class name twice", _classes(["a", "a"]), MISMATCH),
    case("parquet-names-control", "a class name with a line break", _classes(["a\n", "b\nc"]), "unsafe_class_name"),
    case("parquet-names-many", "10,001 class names", _classes([str(i) for i in range(10_001)]), LIMIT,
         limit_name="classes", value=10_001),
    case("parquet-no-rows", "no rows", _of(image=pa.array([], pa.binary()), label=pa.array([], pa.int64())),
         "no_images"),
    case("parquet-one-class", "one class", _of(image=images(), label=[1] * 4), "too_few_classes", classes=["1"]),
    case("parquet-shards-differ", "shards that differ in their class names",
         lambda: zip_of({"train-0.parquet": parquet({"image": images(), "label": LABELS}, FEATURES),
                         "train-1.parquet": _good()}), MISMATCH, member="train-1.parquet"),
    case("parquet-shard-cut", "a shard that is cut short",
         lambda: zip_of({"train-0.parquet": _good(), "train-1.parquet": _good()[:-9]}), BAD,
         member="train-1.parquet"),
    case("parquet-test-only", "a test shard and no other", lambda: zip_of({"test.parquet": _good()}),
         "no_training_split", found="test"),
    case("parquet-no-images-beside", "a table without images, and no image beside it",
         lambda: zip_of({"a.parquet": parquet({"file_name": ["x"], "label": [0]})}), "no_image_column"),
)  # fmt: skip


def _renamed(parts: Parquet) -> Parquet:
    for element in parts.footer[raw.SCHEMA].values:
        if element[4] == b"imago":
            element[4] = b"image"
    for column in parts.columns():
        column[raw.PATH].values = [b"image" if one == b"imago" else one for one in column[raw.PATH].values]
    return parts
