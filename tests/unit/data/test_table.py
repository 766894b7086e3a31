"""Tables of labels beside images to the canonical form, and tables that do not fit."""

import json
from pathlib import Path

import numpy as np
import pytest

from core.data.canonical.canonical_set import CanonicalSet
from core.data.limits import Limits

from .builders import Files, encode, folder, make_tar, make_zip, pixels, refused, run


def flat(count: int = 4, prefix: str = "", seed: int = 0) -> Files:
    return {f"{prefix}{i}.png": encode(image) for i, image in enumerate(pixels(count, seed=seed))}


def csv(header: str, *rows: str) -> bytes:
    return "\n".join([header, *rows, ""]).encode()


def test_hub_layout_with_a_table_in_each_split_folder(tmp_path: Path) -> None:
    rows = [{"file_name": f"sub/{i}.png", "label": ["猫", "a/b c"][i % 2], "box": [1]} for i in range(4)]
    train = "".join(json.dumps(row, ensure_ascii=i % 2 == 0) + "\n" for i, row in enumerate(rows))
    files = {
        **flat(prefix="data/train/sub/"),
        "data/train/metadata.jsonl": train.encode(),
        **flat(2, "data/test/", 1),
        "data/test/metadata.csv": b"\xef\xbb\xbf" + csv("file_name,label", '"0.png","猫"', "1.png,a/b c"),
    }
    for make in (make_zip, make_tar):
        manifest = run(make(tmp_path / "up", files), tmp_path / make.__name__)
        opened = CanonicalSet.open(tmp_path / make.__name__)
        assert (manifest.source_format, manifest.classes) == ("table", ("a/b c", "猫"))
        np.testing.assert_array_equal(opened.train.images_NHWC, pixels(4))
        np.testing.assert_array_equal(opened.test.images_NHWC, pixels(2, seed=1))
        assert opened.train.labels_N.tolist() == [1, 0, 1, 0]
        assert manifest.report["skipped"]["total"] == 0


def test_kaggle_layout(tmp_path: Path) -> None:
    files = {
        **flat(prefix="comp/train/"),
        **flat(2, prefix="comp/test/", seed=1),
        "comp/train.csv": csv("id,label", "0,10", "1,9", "2,10", "3,9"),
        "comp/test.csv": csv("id", "0", "1"),
        "comp/sample_submission.csv": csv("id,label", "0,9", "1,9"),
    }
    manifest = run(make_zip(tmp_path / "up", files), tmp_path / "out")
    assert (manifest.source_format, manifest.classes) == ("table", ("9", "10"))
    assert sum(split.count for split in manifest.splits.values()) == 4
    assert manifest.report["skipped"]["by_reason"] == {
        "no row names it": 2,
        "a table without a file and a label column": 2,
    }
    files["comp/test.csv"] = csv("id,label", "0,9", "1,10")
    run(make_zip(tmp_path / "up", files), tmp_path / "both")
    opened = CanonicalSet.open(tmp_path / "both")
    np.testing.assert_array_equal(opened.test.images_NHWC, pixels(2, seed=1))
    assert opened.train.labels_N.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("file", ["file_name", "Filename", "file", "path", "image", "id"])
@pytest.mark.parametrize("label", ["label", "Class", "target", "category", "class name"])
@pytest.mark.parametrize("split", ["split", "set", "subset", "fold"])
def test_columns_and_a_split_column(tmp_path: Path, file: str, label: str, split: str) -> None:
    suffix = {"id": ("csv", ";"), "path": ("tsv", "\t")}.get(file, ("csv", ","))
    lines = (
        ["x", file, label, split],
        *(["", f"images/{i}.png", "ab"[i % 2], "train" if i < 4 else "Test"] for i in range(6)),
    )
    table = "\r\n".join(suffix[1].join(line) for line in lines)
    files = {**flat(6, "images/"), f"labels.{suffix[0]}": table.encode()}
    manifest = run(make_zip(tmp_path / "up", files), tmp_path / "out")
    opened = CanonicalSet.open(tmp_path / "out")
    assert (manifest.source_format, manifest.classes) == ("table", ("a", "b"))
    np.testing.assert_array_equal(opened.train.images_NHWC, pixels(6)[:4])
    np.testing.assert_array_equal(opened.test.images_NHWC, pixels(6)[4:])


def test_numbered_folds_are_no_splits_and_unknown_splits_are_skipped(tmp_path: Path) -> None:
    files = {**flat(), "t.csv": csv("file,label,fold", "0.png,a,1", "1.png,b,2", "2.png,a,1", "3.png,b,2")}
    manifest = run(make_zip(tmp_path / "up", files), tmp_path / "a")
    assert sum(split.count for split in manifest.splits.values()) == 4
    files["t.csv"] = csv("file,label,set", "0.png,a,train", "1.png,b,train", "2.png,a,extra", "3.png,b,test")
    manifest = run(make_zip(tmp_path / "up", files), tmp_path / "b")
    assert manifest.report["skipped"]["by_reason"] == {"in no train, val or test split": 1}


def test_rows_and_images_left_over(tmp_path: Path) -> None:
    files = {**flat(6), "notes.md": b"x", "broken.png": b"x"}
    rows = ("0.png,a", "1.png,b", "2.png,a", "3.png,b", "3.png,b", "4.png,", "broken.png,a", "")
    files["metadata.csv"] = csv("file_name,label", *rows)
    manifest = run(make_zip(tmp_path / "up", files), tmp_path / "out")
    assert manifest.report["skipped"]["by_reason"] == {
        "its row has no label": 1,
        "no row names it": 2,
        "not an image of a supported format": 1,
    }


def test_mixed_modes(tmp_path: Path) -> None:
    grey = pixels(1, channels=1)[0]
    files = {**flat(1), "g.png": encode(grey), "a.png": encode(np.zeros((16, 16, 4), np.uint8))}
    files["train.csv"] = csv("image,label", "0,x", "g,y", "a,z")
    manifest = run(make_zip(tmp_path / "up", files), tmp_path / "out")
    train = CanonicalSet.open(tmp_path / "out").train.images_NHWC
    assert (manifest.channels, train.shape) == (3, (3, 16, 16, 3))
    assert train[1].min() == 255
    np.testing.assert_array_equal(train[2], np.broadcast_to(grey, (16, 16, 3)))


STRAYS = {
    "a.csv": csv("path,noisy_labels", "cat/0.png,1"),
    "b.csv": csv("id,label", "nowhere,1"),
    "c.csv": b"\xff\xfe\0",
    "d.csv": b'"never closed\n' * 100,
    "e.jsonl": b"{",
    "f.csv": b"x" * 2**21,
    "g.csv": b"",
    "h.csv": csv("file_name,caption", "cat/0.png,a photo"),
}


@pytest.mark.parametrize("name", STRAYS)
def test_stray_table_beside_class_folders(tmp_path: Path, name: str) -> None:
    manifest = run(make_zip(tmp_path / "up", {**folder(), name: STRAYS[name]}, 0), tmp_path / "out")
    assert (manifest.source_format, manifest.classes) == ("imagefolder", ("cat", "dog"))


def test_table_that_names_images_wins_over_class_folders(tmp_path: Path) -> None:
    files = {**folder(), "labels.csv": csv("file,label", *(f"{n},{n[-5]}" for n in folder()))}
    manifest = run(make_zip(tmp_path / "up", files), tmp_path / "out")
    assert (manifest.source_format, manifest.classes) == ("table", ("0", "1", "2"))


LONG = "x" * (2**20)
FAULTS: list[tuple[str, bytes, str, str]] = [
    ("t.csv", csv("file,label", "0.png,a", "9.png,b", "8.png,b"), "missing_files", "2 files"),
    ("t.csv", csv("file,label", "nowhere/0.png,a"), "missing_files", "nowhere/0.png"),
    ("t.csv", csv("file,label", "../../etc/passwd,a", "0.png,b"), "missing_files", "passwd"),
    ("t.csv", csv("file,label", "0.png,a", "1.png,b", "0,b"), "conflicting_labels", "line 4"),
    ("t.csv", csv("file,label", "0.png,a", ",b"), "corrupt_table", "line 3"),
    ("t.csv", csv("file,label", "0.png,a,b"), "corrupt_table", "line 2"),
    ("t.csv", csv("file,label", *["0.png,a"] * 150, "0.png,a,b"), "corrupt_table", "line 152"),
    ("t.csv", csv("file,label", *["0.png,a"] * 150) + b"1.png,\xff", "corrupt_table", "UTF-8"),
    ("t.csv", csv("file,label", *["0.png,a"] * 150, f"1.png,{LONG}"), "limit_exceeded", "line 152"),
    ("t.csv", csv("file,label", *["0.png,a"] * 150, 'x,"', *['","'] * 2**19), "limit_exceeded", "a row of"),
    ("t.csv", csv("file,label", *["0.png,a"] * 150, '0.png,"', *["xy"] * 2**16), "corrupt_table", "field"),
    ("t.csv", csv("file,label", *["0.png,a"] * 150, '1.png,"b'), "corrupt_table", "line"),
    ("t.csv", csv("file,label", "0.png,a", "1.png," + "x" * 2000), "limit_exceeded", "name_bytes"),
    ("t.csv", csv("file,label", "0.png,a", "1.png,b\x01"), "unsafe_class_name", "t.csv"),
    ("t.jsonl", b'{"file": "0.png", "label": 1}\n' * 150 + b"[]", "corrupt_table", "line 151"),
    ("t.jsonl", b'{"file": "0.png", "label": 1}\n' * 150 + b"[" * 99_999, "corrupt_table", "line 151"),
    ("t.jsonl", b'{"file": "0.png", "label": "\\ud800"}\n', "unsafe_class_name", "t.jsonl"),
]


@pytest.mark.parametrize(("name", "table", "code", "words"), FAULTS, ids=[f"{c}-{w}" for *_, c, w in FAULTS])
def test_faults(tmp_path: Path, name: str, table: bytes, code: str, words: str) -> None:
    error = refused(make_zip(tmp_path / "up", {**flat(), name: table}, 0))
    assert (error.code, words in error.detail) == (code, True), error.detail


def test_ambiguous_files_and_limits(tmp_path: Path) -> None:
    files = {**flat(2, "a/"), **flat(2, "b/"), "t.csv": csv("file,label", "0,x", "1,y")}
    assert refused(make_zip(tmp_path / "up", files)).code == "ambiguous_files"
    files["t.csv"] = csv("file,label", "a/0.png,x", "a/1.png,y", "b/0.png,z")
    path = make_zip(tmp_path / "up", files)
    assert refused(path, Limits(classes=2)).context["limit_name"] == "classes"
    assert refused(path, Limits(images=2)).context["limit_name"] == "images"
