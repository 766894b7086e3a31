"""Parquet sets to the canonical form: what `datasets` and pyarrow write, and files that lie."""

import io
import json
import struct
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from core.data.canonical.canonical_set import CanonicalSet
from core.data.limits import Limits
from core.errors import DataError

from .builders import Files, encode, folder, make_tar, make_zip, pixels, refused, run

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
NAMES = ("Ätna / süd", "猫")


def hub(images: NDArray[np.uint8], labels: list[int], names: tuple[str, ...] = NAMES) -> datasets.Dataset:
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=list(names)),
            "id": datasets.Value("int64"),
        }
    )
    rows = {
        "image": [Image.fromarray(image) for image in images],
        "label": labels,
        "id": list(range(len(labels))),
    }
    return datasets.Dataset.from_dict(rows, features=features)


def hub_file(*args: Any) -> bytes:
    buffer = io.BytesIO()
    hub(*args).to_parquet(buffer)
    return buffer.getvalue()


def parquet(columns: dict[str, Any], metadata: dict[str, Any] | None = None, **options: Any) -> bytes:
    table = pa.table(columns)
    if metadata is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps(metadata)})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def images(count: int = 4) -> list[bytes]:
    return [encode(image) for image in pixels(count)]


def bare(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_bare_file_of_the_datasets_library(tmp_path: Path) -> None:
    manifest = run(bare(tmp_path / "up", hub_file(pixels(40), [0, 1] * 20)), tmp_path / "out")
    assert (manifest.source_format, manifest.classes, manifest.channels) == ("parquet", NAMES, 3)
    assert (manifest.splits["train"].per_class, manifest.splits["test"].per_class) == ((17, 17), (3, 3))
    assert manifest.report["skipped"]["total"] == 0
    opened = CanonicalSet.open(tmp_path / "out")
    both = np.concatenate([opened.train.images_NHWC, opened.test.images_NHWC])
    assert sorted(map(bytes, both)) == sorted(map(bytes, pixels(40)))


SHARDS = [
    (
        "data/train-00000-of-00002.parquet",
        "data/train-00001-of-00002.parquet",
        "data/test-00000-of-00001.parquet",
    ),
    ("default/train/0000.parquet", "default/train/0001.parquet", "default/test/0000.parquet"),
]


@pytest.mark.parametrize("names", SHARDS)
@pytest.mark.parametrize("container", ["stored", "deflated", "tar", "folder"])
def test_shards(tmp_path: Path, names: tuple[str, ...], container: str) -> None:
    every = pixels(12)
    parts = [hub_file(every[a:b], ([0, 1] * 6)[a:b]) for a, b in ((0, 5), (5, 8), (8, 12))]
    files: Files = {**dict(zip(names, parts, strict=True)), "README.md": b"# set", ".gitattributes": b"x"}
    up = tmp_path / "up"
    if container == "folder":
        for name, data in files.items():
            (up / name).parent.mkdir(parents=True, exist_ok=True)
            (up / name).write_bytes(data)
    elif container == "tar":
        make_tar(up, files)
    else:
        make_zip(up, files, 8 if container == "deflated" else 0)
    manifest = run(up, tmp_path / "out")
    opened = CanonicalSet.open(tmp_path / "out")
    np.testing.assert_array_equal(opened.train.images_NHWC, every[:8])
    np.testing.assert_array_equal(opened.test.images_NHWC, every[8:])
    assert opened.train.labels_N.tolist() == [0, 1] * 4
    assert manifest.report["skipped"]["by_reason"] == {"not a Parquet file": 1}


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view(), STRUCT])
@pytest.mark.parametrize(
    "options", [{}, {"use_dictionary": False, "data_page_version": "2.0"}, {"row_group_size": 3}]
)
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd", "gzip", "brotli", "lz4"])
def test_plain_columns(tmp_path: Path, kind: pa.DataType, options: dict[str, Any], compression: str) -> None:
    cells = [{"bytes": i, "path": None} for i in images(8)] if kind == STRUCT else images(8)
    columns = {"Img": pa.array(cells, kind), "target": pa.array([10, 9] * 4, pa.uint16())}
    data = parquet(columns, compression=compression, write_page_checksum=True, **options)
    manifest = run(make_zip(tmp_path / "up", {"train.parquet": data, "val.parquet": data}), tmp_path / "out")
    opened = CanonicalSet.open(tmp_path / "out")
    assert manifest.classes == ("9", "10")
    assert opened.train.labels_N.tolist() == [1, 0] * 4
    np.testing.assert_array_equal(opened.test.images_NHWC, pixels(8))


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_text_labels_a_column_found_by_its_type_and_nulls(tmp_path: Path, kind: pa.DataType) -> None:
    cells = [*images(4), None, b"no image", images(1)[0]]
    labels = pa.array(["猫", "a/b c"] * 2 + ["猫", "猫", None], pa.string()).cast(kind)
    data = parquet({"scan": pa.array(cells, pa.binary()), "class": labels})
    manifest = run(
        make_zip(tmp_path / "up", {"s/train.parquet": data, "s/extra.parquet": data}), tmp_path / "out"
    )
    assert manifest.classes == ("a/b c", "猫")
    assert manifest.splits["train"].count + manifest.splits["test"].count == 4
    assert manifest.report["skipped"]["by_reason"] == {
        "no image bytes": 1,
        "no label": 1,
        "not an image of a supported format": 1,
        "in no train, val or test split": 1,
    }
    assert {"name": "s/train.parquet, row 4", "reason": "no image bytes"} in manifest.report["skipped"][
        "first"
    ]


def test_mixed_modes_and_an_unlabelled_test_split(tmp_path: Path) -> None:
    grey, alpha = pixels(1, channels=1)[0], np.zeros((16, 16, 4), np.uint8)
    cells = [encode(grey), encode(alpha), encode(pixels(1)[0], "BMP"), encode(grey)]
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["x", "y"]}}
    files = {
        f"{split}.parquet": parquet({"image": cells, "label": labels}, {"info": {"features": features}})
        for split, labels in (("train", [0, 1, 0, 1]), ("test", [-1] * 4), ("validation", [1, 0, 1, 0]))
    }
    manifest = run(make_zip(tmp_path / "up", files), tmp_path / "out")
    train = CanonicalSet.open(tmp_path / "out").train.images_NHWC
    assert (manifest.channels, manifest.splits["test"].per_class) == (3, (2, 2))
    assert manifest.report["skipped"]["by_reason"] == {"no label": 4}
    np.testing.assert_array_equal(train[0], np.broadcast_to(grey, (16, 16, 3)))
    assert train[1].min() == 255


def test_grey_and_the_fine_labels_among_several(tmp_path: Path) -> None:
    cells = [encode(image) for image in pixels(4, channels=1)]
    data = parquet({"img": cells, "coarse_label": [0] * 4, "fine_label": [5, 6, 5, 6]})
    manifest = run(bare(tmp_path / "up", data), tmp_path / "out")
    assert (manifest.classes, manifest.channels) == (("5", "6"), 1)


FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"image": images(), "x": [1.0] * 4}, "no_label_column", "'x'"),
    ({"text": ["a"] * 4, "label": [0, 1] * 2}, "no_image_column", "'text'"),
    ({"a": images(), "b": images(), "label": [0, 1] * 2}, "ambiguous_columns", "'a', 'b'"),
    (
        {"image": images(), "class": [0, 1] * 2, "target": [0, 1] * 2},
        "ambiguous_columns",
        "'class', 'target'",
    ),
    ({"image": images(), "label": [0.5] * 4}, "unsupported_dtype", "double"),
    ({"image": [[1, 2]] * 4, "label": [0, 1] * 2}, "unsupported_dtype", "list"),
    ({"image": images(), "label": ["a", "b\n", "c\0", "d"]}, "unsafe_class_name", "upload"),
    ({"image": images(), "label": [1] * 4}, "too_few_classes", "1"),
    ({"image": images(), "label": pa.array([None] * 4, pa.int64())}, "no_images", ""),
]


@pytest.mark.parametrize(("columns", "code", "words"), FAULTS, ids=[f"{c}-{w}" for _, c, w in FAULTS])
def test_columns_that_do_not_serve(tmp_path: Path, columns: dict[str, Any], code: str, words: str) -> None:
    error = refused(bare(tmp_path / "up", parquet(columns)))
    assert (error.code, words in error.detail) == (code, True)


def test_shards_that_disagree(tmp_path: Path) -> None:
    good, other = hub_file(pixels(4), [0, 1] * 2), hub_file(pixels(4), [0, 1] * 2, ("a", "b"))
    text = parquet({"image": images(), "label": ["a", "b"] * 2})
    number = parquet({"image": images(), "label": [0, 1] * 2})
    outside = parquet(
        {"image": images(), "label": [0, 1, 2, 0]},
        {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["a", "b"]}}}},
    )
    for files in ({"0": good, "1": other}, {"0": number, "1": text}, {"0": outside}):
        error = refused(make_zip(tmp_path / "up", {f"{k}.parquet": v for k, v in files.items()}))
        assert (error.code, error.context["member"][1:]) == ("label_mismatch", ".parquet")


def test_class_folders_win_over_a_parquet_without_images(tmp_path: Path) -> None:
    files = folder()
    files["metadata.parquet"] = parquet({"file_name": ["cat/0.png"], "label": [1]})
    assert run(make_zip(tmp_path / "up", files), tmp_path / "out").source_format == "imagefolder"


def test_cut_short_at_any_place(tmp_path: Path) -> None:
    data = hub_file(pixels(8), [0, 1] * 4)
    for keep in (8, 100, len(data) // 2, len(data) - 200, len(data) - 1):
        assert refused(bare(tmp_path / "up", data[:keep])).code == "corrupt_parquet"
    # In a zip beside a good one, it is named.
    files = {"train-0.parquet": data, "train-1.parquet": data[:-9]}
    assert refused(make_zip(tmp_path / "up", files)).context["member"] == "train-1.parquet"


def test_footer_that_lies_about_its_length(tmp_path: Path) -> None:
    data = hub_file(pixels(4), [0, 1] * 2)
    for length in (len(data), 2**31, 5):
        error = refused(bare(tmp_path / "up", data[:-8] + struct.pack("<I", length) + b"PAR1"))
        assert error.code == "corrupt_parquet"


def test_page_checksum(tmp_path: Path) -> None:
    options: dict[str, Any] = {"compression": "none", "use_dictionary": False, "write_page_checksum": True}
    options["write_statistics"] = False  # they would hold an image, too
    data = parquet({"image": images(), "label": [0, 1] * 2}, **options)
    at = data.index(images()[2]) + 100
    error = refused(bare(tmp_path / "up", data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]))
    assert (error.code, "crc" in error.detail.lower()) == ("corrupt_parquet", True)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_bytes_give_a_data_error_or_a_set(
    tmp_path_factory: pytest.TempPathFactory, data: Any
) -> None:
    whole = bytearray(DAMAGED)
    for _ in range(data.draw(st.integers(1, 4))):
        # The footer and the page headers are what is worth damaging.
        place = data.draw(st.sampled_from([(4, 60), (len(whole) - 900, len(whole))]))
        whole[data.draw(st.integers(place[0], place[1] - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("damaged")
    try:
        run(bare(folder / "up", bytes(whole)), folder / "out")
    except DataError as error:
        assert error.code != "internal"


DAMAGED = parquet({"image": images(), "label": [0, 1] * 2})


def test_dictionary_that_multiplies_one_image(tmp_path: Path) -> None:
    big = encode(np.zeros((300, 300, 3), np.uint8), "BMP")
    columns = {"image": [big] * 200, "label": [0, 1] * 100}
    data = parquet(columns, dictionary_pagesize_limit=2**30)
    assert len(data) < len(big)
    error = refused(bare(tmp_path / "up", data))
    assert (error.code, "ratio" in error.detail) == ("limit_exceeded", True)


def test_limits(tmp_path: Path) -> None:
    path = bare(tmp_path / "up", parquet({"image": images(), "label": ["a", "b", "c", "d"]}))
    for limits, name in (
        (Limits(images=3), "images"),
        (Limits(classes=3), "classes"),
        (Limits(image_bytes=500), "image_bytes"),
        (Limits(member_bytes=900), "member_bytes"),
        (Limits(image_pixels=255), "image_pixels"),
    ):
        error = refused(path, limits)
        assert (error.code, error.context["limit_name"]) == ("limit_exceeded", name)
