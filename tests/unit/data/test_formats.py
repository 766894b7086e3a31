"""IDX, CIFAR and npz to the canonical form, and real sets of each kind."""

import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.data.canonical.canonical_set import CanonicalSet
from core.data.containers.inflate import ByteStream
from core.data.formats.npy_header import read_npy_header
from core.data.readers.idx import parse_idx_header
from core.errors import CondenseryError, DataError

from .builders import (
    cifar_files,
    idx_files,
    idx_images,
    idx_labels,
    make_tar,
    make_zip,
    npy,
    pixels,
    refused,
    run,
)

REAL = Path(os.environ.get("CONDENSERY_TEST_DATA") or Path(__file__).parents[4] / "shared" / "data")


def test_idx(tmp_path: Path) -> None:
    for mode in ("zip", "w:gz"):
        source = tmp_path / f"up{mode[-2:]}"
        source = make_zip(source, idx_files()) if mode == "zip" else make_tar(source, idx_files(), mode)
        manifest = run(source, tmp_path / f"out{mode[-2:]}")
        opened = CanonicalSet.open(tmp_path / f"out{mode[-2:]}")
        assert (manifest.source_format, manifest.classes, manifest.channels) == ("idx", ("3", "7"), 1)
        np.testing.assert_array_equal(opened.train.images_NHWC, pixels(10, 16, 1)[:6])
        np.testing.assert_array_equal(opened.test.images_NHWC, pixels(10, 16, 1)[6:])
        assert opened.train.labels_N.tolist() == [0, 1] * 3
        assert opened.test.labels_N.tolist() == [1, 1, 0, 0]


def test_idx_faults(tmp_path: Path) -> None:
    images = idx_images(pixels(4, 16, 1)[..., 0])
    labels = idx_labels([0, 1, 0, 1])
    cases: list[tuple[dict[str, bytes], str]] = [
        ({"images": images}, "label_mismatch"),
        ({"images": images, "labels": idx_labels([0, 1])}, "label_mismatch"),
        ({"images": images[:-1], "labels": labels}, "corrupt_array"),
        ({"images": images + b"x", "labels": labels}, "corrupt_array"),
        ({"images": images, "labels": labels[:-1]}, "corrupt_idx"),
        ({"images": images, "labels": idx_labels([1, 1, 1, 1])}, "too_few_classes"),
        ({"train-images": images, "train-labels": labels, "x/train-images": images}, "ambiguous_members"),
        ({"images": images[:4] + struct.pack(">3I", 2**31, 9, 9), "labels": labels}, "limit_exceeded"),
    ]
    for files, code in cases:
        assert refused(make_zip(tmp_path / "up", files)).code == code


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_cifar(tmp_path: Path, protocol: int, mode: str) -> None:
    images = pixels(12, 32)
    manifest = run(make_tar(tmp_path / "up", cifar_files(images, protocol), mode), tmp_path / "out")
    opened = CanonicalSet.open(tmp_path / "out")
    assert (manifest.source_format, manifest.classes) == ("cifar", ("frog", "ship"))
    np.testing.assert_array_equal(opened.train.images_NHWC, images[:8])
    np.testing.assert_array_equal(opened.test.images_NHWC, images[8:])


@pytest.mark.parametrize("layout", ["NHWC", "NCHW", "NHW", "big"])
@pytest.mark.parametrize(
    "keys", ["x_train y_train x_test y_test", "train_images train_labels val_images val_labels"]
)
def test_npz(tmp_path: Path, layout: str, keys: str) -> None:
    images = pixels(12, 300 if layout == "big" else 16, 1 if layout == "NHW" else 3)
    stored = {"NCHW": images.transpose(0, 3, 1, 2).copy(), "NHW": images[..., 0]}.get(layout, images)
    labels = np.arange(12) % 2
    arrays: tuple[NDArray[np.generic], ...] = (
        stored[:8],
        labels[:8, None],
        stored[8:],
        labels[8:].astype(np.uint8),
    )
    files = {f"{key}.npy": npy(array) for key, array in zip(keys.split(), arrays, strict=True)}
    files["classes.npy"] = npy(np.array(["no", "yes"]))
    make_zip(tmp_path / "up", files)
    manifest = run(tmp_path / "up", tmp_path / "out")
    opened = CanonicalSet.open(tmp_path / "out")
    assert (manifest.source_format, manifest.classes) == ("npz", ("no", "yes"))
    assert opened.test.labels_N.tolist() == [0, 1, 0, 1]
    if layout == "big":
        assert manifest.image_size == 64
    else:
        np.testing.assert_array_equal(opened.train.images_NHWC, images[:8])
        np.testing.assert_array_equal(opened.test.images_NHWC, images[8:])


def test_npz_faults(tmp_path: Path) -> None:
    images, labels = npy(pixels(4)), npy(np.arange(4) % 2)
    for files, code in [
        ({"x": npy(pixels(4).astype(np.float32)), "y": labels}, "unsupported_dtype"),
        ({"x": images, "y": npy(np.arange(4) / 2)}, "unsupported_dtype"),
        ({"x": npy(pixels(4, 16, 2)), "y": labels}, "unsupported_shape"),
        ({"x": npy(np.asfortranarray(pixels(4))), "y": labels}, "unsupported_shape"),
        ({"x": images, "y": npy(np.arange(5))}, "label_mismatch"),
        ({"x": images}, "label_mismatch"),
        ({"x": images, "images": images, "y": labels}, "ambiguous_members"),
        ({"y": labels}, "no_images"),
        ({"x": images, "y": npy(np.zeros(4, np.int64))}, "too_few_classes"),
        ({"x_val": images, "y_val": labels}, "no_training_split"),
    ]:
        assert refused(make_zip(tmp_path / "up", {f"{k}.npy": v for k, v in files.items()})).code == code


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80), st.sampled_from([b"", b"\x93NUMPY\x01\0", b"\0\0\x08\x03", b"\0\0\x08\x01"]))
def test_headers_of_any_bytes_give_a_data_error_or_a_shape(data: bytes, start: bytes) -> None:
    content = start + data
    for read_shape in (_idx_shape, _npy_shape):
        try:
            assert all(side >= 0 for side in read_shape(content))
        except CondenseryError as error:
            assert isinstance(error, DataError)


def _idx_shape(content: bytes) -> tuple[int, ...]:
    return parse_idx_header(ByteStream([content]), "m")


def _npy_shape(content: bytes) -> tuple[int, ...]:
    return read_npy_header(ByteStream([content]), size=len(content), member="m").shape


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 2**50), max_size=5).map(tuple),
    st.sampled_from(["|u1", "<i8", "|O", "<f4", "<U3", "|S4", ">u2", "|b1", "V8"]),
    st.integers(0, 64),
)
def test_npy_header_is_accepted_only_if_shape_and_bytes_agree(
    shape: tuple[int, ...], descr: str, present: int
) -> None:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    data = b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + bytes(present)
    try:
        read = read_npy_header(ByteStream([data]), size=len(data), member="m")
    except DataError as error:
        assert error.code in ("corrupt_npy", "object_array", "unsupported_dtype")
    else:
        assert int(np.prod(read.shape, dtype=object)) * np.dtype(read.descr).itemsize == present


def _real(name: str) -> Path:
    if not (REAL / name).exists():
        pytest.skip(f"{name} is not in {REAL} (set CONDENSERY_TEST_DATA)")
    return REAL / name


def test_real_fashion_mnist(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "up", "w") as archive:
        for file in _real("FashionMNIST").glob("*.gz"):
            archive.write(file, file.name)
    manifest = run(tmp_path / "up", tmp_path / "out")
    assert manifest.splits["train"].per_class == (6000,) * 10
    assert manifest.splits["test"].per_class == (1000,) * 10
    np.testing.assert_allclose((*manifest.mean, *manifest.std), (0.2860, 0.3530), atol=1e-4)


@pytest.mark.skipif(not os.environ.get("CONDENSERY_TEST_DATA"), reason="20 s: set CONDENSERY_TEST_DATA")
def test_real_cifar10(tmp_path: Path) -> None:
    manifest = run(_real("cifar-10-python.tar.xz"), tmp_path / "out")
    assert (manifest.splits["train"].count, manifest.splits["test"].count) == (50_000, 10_000)
    assert manifest.classes[:2] == ("airplane", "automobile")
    np.testing.assert_allclose(manifest.mean, (0.4914, 0.4822, 0.4465), atol=1e-4)


def test_real_imagenette(tmp_path: Path) -> None:
    manifest = run(_real("imagenette224-mini.zip"), tmp_path / "out", image_size=32)
    assert (manifest.splits["train"].count, manifest.splits["test"].count) == (1500, 500)
    assert (manifest.channels, len(manifest.classes)) == (3, 10)
