"""The validation report: it counts, warns and suggests, and refuses nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.data.report import sensible_ipc

from .builders import Files, encode, folder, make_zip, npy, pixels, run


def report_of(tmp_path: Path, files: Files, image_size: int | None = None) -> dict[str, Any]:
    manifest = run(make_zip(tmp_path / "up", files), tmp_path / "out", image_size=image_size)
    assert json.loads(json.dumps(manifest.report)) == manifest.report
    return manifest.report


def codes(report: dict[str, Any]) -> list[str]:
    return [warning["code"] for warning in report["warnings"]]


def test_an_ordinary_set_is_reported_without_a_warning(tmp_path: Path) -> None:
    files = folder(each=12, prefix="train/") | folder(each=3, prefix="test/", seed=1)
    report = report_of(tmp_path, files)
    assert report["warnings"] == []
    assert report["sizes"] == {
        "distinct": 1,
        "most_common": [{"height": 16, "width": 16, "images": 30}],
        "shorter_side": {"min": 16, "median": 16.0, "max": 16},
        "not_square": 0,
        "enlarged": 0,
    }
    assert report["suggestions"]["image_size"] == 16
    assert report["suggestions"]["ipc"] == [1]
    assert set(report["suggestions"]["augment"]) == {
        "mirror_images_keep_their_class",
        "mirror_images_change_their_class",
        "choose",
    }


def test_leakage_and_conflicting_labels_are_found_by_pixels_and_named_by_row(tmp_path: Path) -> None:
    train, test = pixels(24), pixels(6, seed=1)
    train_labels, test_labels = np.arange(24) % 2, np.arange(6) % 2
    test[[1, 4]] = train[[7, 3]]  # leaked, the second one under another label
    train[20] = train[4]  # a repetition
    train[9] = train[6]  # a twin of the other class
    arrays = {
        "x_train.npy": npy(train),
        "y_train.npy": npy(train_labels),
        "x_test.npy": npy(test),
        "y_test.npy": npy(test_labels),
    }
    report = report_of(tmp_path, arrays)
    assert report["duplicates"] == {
        "train": 2,
        "test": 0,
        "test_also_in_train": 2,
        "train_with_other_label": 2,
        "test_in_train_with_other_label": 1,
        "first_leaked": [{"test_row": 1, "train_row": 7}, {"test_row": 4, "train_row": 3}],
    }
    assert codes(report)[:3] == ["test_leakage", "conflicting_labels", "duplicates"]
    assert "2 of 6 test images (33.3%)" in report["warnings"][0]["detail"]


def test_what_is_odd_about_the_files_is_said(tmp_path: Path) -> None:
    files = folder(("many",), each=40, prefix="train/") | folder(("few",), each=3, prefix="train/", seed=1)
    files |= folder(("many", "unknown"), each=2, prefix="test/", seed=2)
    files |= {f"train/many/wide{i}.png": encode(pixels(1, 40, seed=i)[0][:20]) for i in range(5)}
    files |= {"train/many/small.png": encode(pixels(1, 8)[0]), "train/many/broken.png": b"no image"}
    report = report_of(tmp_path, files, image_size=20)
    assert codes(report) == [
        "untested_classes",
        "imbalanced",
        "small_classes",
        "skipped_files",
        "left_out",
        "enlarged",
        "cropped",
    ]
    by_code = {warning["code"]: warning["detail"] for warning in report["warnings"]}
    assert by_code["untested_classes"].startswith("1 class ('few')")
    assert "'many', has 46 training images" in by_code["imbalanced"]
    assert "15.3 times" in by_code["imbalanced"]
    assert by_code["left_out"] == "2 images left out: of a class without training images"
    assert by_code["cropped"].startswith("5 images")
    assert (report["sizes"]["distinct"], report["sizes"]["not_square"]) == (3, 5)
    assert report["suggestions"]["image_size"] == 16


def test_native_sizes_beyond_the_usual_ones_are_kept_and_their_price_is_said(tmp_path: Path) -> None:
    report = report_of(tmp_path, folder(each=12, size=128))
    assert "large_images" in codes(report)
    assert "128 px; condensing costs 4 times what 64 px would" in report["warnings"][-1]["detail"]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([5000] * 10, [1, 5, 10, 20, 50, 100, 200, 500]), ([3, 3], [1]), ([60, 500, 510], [1, 5, 10, 20, 50])],
)
def test_sensible_ipc_condenses(counts: list[int], expected: list[int]) -> None:
    assert sensible_ipc(np.array(counts)) == expected
