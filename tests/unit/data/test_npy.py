"""Arrays as .npy files beside one another, and what their pixels may be."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.data.canonical.canonical_set import CanonicalSet

from .builders import Files, encode, folder, make_folder, make_tar, make_zip, npy, pixels, refused, run

LABELS = np.arange(12) % 2
MAKERS: dict[str, Callable[[Path, Files], Path]] = {"zip": make_zip, "tar": make_tar, "folder": make_folder}


def arrays(channels: int = 3) -> Files:
    images = pixels(12, 16, channels)
    return {
        "x_train.npy": npy(images[:8]),
        "y_train.npy": npy(LABELS[:8]),
        "x_test.npy": npy(images[8:]),
        "y_test.npy": npy(LABELS[8:]),
    }


@pytest.mark.parametrize("container", MAKERS)
def test_small_files_beside_the_arrays_are_skipped(tmp_path: Path, container: str) -> None:
    files = {
        **arrays(),
        "README.md": b"text",
        "preview.png": encode(pixels(1)[0]),
        "mean.npy": npy(np.ones(3)),
    }
    files = {f"set/{name}": data for name, data in files.items()}
    manifest = run(MAKERS[container](tmp_path / "up", files), tmp_path / "out")
    opened = CanonicalSet.open(tmp_path / "out")
    np.testing.assert_array_equal(opened.train.images_NHWC, pixels(12)[:8])
    assert opened.test.labels_N.tolist() == [0, 1, 0, 1]
    assert manifest.source_format == "npy"
    assert manifest.report["skipped"]["by_reason"] == {"not a .npy array": 2, "not a known array name": 1}


def test_folders_name_the_splits(tmp_path: Path) -> None:
    files = {
        f"{name[2:-4]}/{'images' if name[0] == 'x' else 'labels'}.npy": data
        for name, data in arrays().items()
    }
    manifest = run(make_zip(tmp_path / "up", files), tmp_path / "out")
    same = run(make_zip(tmp_path / "npz", arrays()), tmp_path / "same")
    assert manifest.content_hash == same.content_hash
    assert (same.source_format, manifest.splits["test"].count) == ("npz", 4)


def test_an_array_in_an_image_folder_does_not_make_it_one_of_arrays(tmp_path: Path) -> None:
    files = {**folder(), "data.npy": npy(np.ones((6, 9)))}
    assert run(make_zip(tmp_path / "up", files), tmp_path / "out").source_format == "imagefolder"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW", "NHW"])
def test_sixteen_bits_keep_the_high_byte(tmp_path: Path, order: str, layout: str) -> None:
    shape = {"NHWC": (12, 16, 16, 3), "NCHW": (12, 3, 16, 16), "NHW": (12, 16, 16)}[layout]
    deep = np.random.default_rng(0).integers(0, 65536, shape).astype(f"{order}u2")
    files = {"train/x.npy": npy(deep), "train/y.npy": npy(LABELS), "val/x.npy": npy(deep)}
    run(make_zip(tmp_path / "up", {**files, "val/y.npy": npy(LABELS)}), tmp_path / "out")
    expected = (deep // 256).astype(np.uint8)
    expected = {"NHWC": expected, "NCHW": np.moveaxis(expected, 1, -1), "NHW": expected[..., None]}[layout]
    np.testing.assert_array_equal(CanonicalSet.open(tmp_path / "out").train.images_NHWC, expected)


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_four_channels(tmp_path: Path, layout: str) -> None:
    images = pixels(12, 16, 4)
    stored = images if layout == "NHWC" else np.moveaxis(images, -1, 1).copy()
    files = {"x.npy": npy(stored), "y.npy": npy(LABELS), "x_val.npy": npy(stored), "y_val.npy": npy(LABELS)}
    manifest = run(make_zip(tmp_path / "up", files), tmp_path / "out")
    assert (manifest.channels, len(manifest.std)) == (4, 4)
    np.testing.assert_array_equal(CanonicalSet.open(tmp_path / "out").train.images_NHWC, images)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_floats_are_refused_with_the_way_to_convert_them(tmp_path: Path, dtype: str) -> None:
    files = {"x.npy": npy(pixels(12).astype(dtype) / 255), "y.npy": npy(LABELS)}
    error = refused(make_zip(tmp_path / "up", files))
    assert error.code == "unsupported_dtype"
    assert "np.rint(x * 255).astype('uint8')" in error.detail


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    images = npy(pixels(4))
    for files, code, words in [
        ({"images.npy": images, "README": b"text"}, "label_mismatch", "no label array beside it"),
        ({"a.npy": images, "b.npy": images}, "no_images", "expected a name such as images, x or x_train"),
    ]:
        error = refused(make_zip(tmp_path / "up", files))
        assert (error.code, words in error.detail) == (code, True)
    (tmp_path / "up").write_bytes(images)
    assert "labels are missing" in refused(tmp_path / "up").detail
