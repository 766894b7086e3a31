"""The binary CIFAR archives: the same set as the python ones, byte by byte."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from core.data.canonical.canonical_set import CanonicalSet
from core.data.limits import Limits

from .builders import Files, cifar_files, make_tar, make_zip, pixels, refused, run

IMAGES = pixels(12, 32)


def records(images: NDArray[np.uint8], *labels: list[int]) -> bytes:
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return np.hstack([np.array(labels, np.uint8).T, planes]).tobytes()


def cifar_10(prefix: str = "cifar-10-batches-bin/") -> Files:
    labels = [0, 1]
    files = {
        "batches.meta.txt": b"frog\nship\n\n",
        "data_batch_1.bin": records(IMAGES[:4], labels * 2),
        "data_batch_2.bin": records(IMAGES[4:8], labels * 2),
        "test_batch.bin": records(IMAGES[8:], labels * 2),
        "readme.html": b"<html>",
    }
    return {prefix + name: data for name, data in files.items()}


def cifar_100() -> Files:
    return {
        "train.bin": records(IMAGES[:8], [7] * 8, [2, 0, 1, 0] * 2),
        "test.bin": records(IMAGES[8:], [7] * 4, [0, 1, 2, 0]),
        "fine_label_names.txt": b"apple\nbear\ncan\n",
        "coarse_label_names.txt": b"food\n" * 20,
    }


@pytest.mark.parametrize("mode", ["zip", "w:gz"])
def test_same_hash_as_the_python_archive(tmp_path: Path, mode: str) -> None:
    up = tmp_path / "up"
    source = make_zip(up, cifar_10()) if mode == "zip" else make_tar(up, cifar_10(), mode)
    binary = run(source, tmp_path / "b")
    python = run(make_tar(tmp_path / "py", cifar_files(IMAGES)), tmp_path / "p")
    assert binary.content_hash == python.content_hash
    assert (binary.source_format, binary.classes) == ("cifar-binary", ("frog", "ship"))
    assert binary.report["skipped"]["total"] == 0


def test_ten_batches_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    images = pixels(11, 32)
    files = {f"data_batch_{i + 1}.bin": records(images[i : i + 1], [i % 2]) for i in range(11)}
    files["test_batch.bin"] = records(IMAGES[:2], [0, 1])
    run(make_zip(tmp_path / "up", files), tmp_path / "out")
    np.testing.assert_array_equal(CanonicalSet.open(tmp_path / "out").train.images_NHWC, images)


def test_cifar_100_has_the_fine_labels(tmp_path: Path) -> None:
    manifest = run(make_zip(tmp_path / "up", cifar_100()), tmp_path / "out")
    opened = CanonicalSet.open(tmp_path / "out")
    assert manifest.classes == ("apple", "bear", "can")
    assert opened.train.labels_N.tolist() == [2, 0, 1, 0] * 2
    assert opened.test.labels_N.tolist() == [0, 1, 2, 0]
    np.testing.assert_array_equal(opened.train.images_NHWC, IMAGES[:8])
    np.testing.assert_array_equal(opened.test.images_NHWC, IMAGES[8:])


def test_faults(tmp_path: Path) -> None:
    good, hundred = cifar_10(""), cifar_100()
    unnamed = {name: data for name, data in good.items() if not name.endswith(".txt")}
    for files, code in [
        ({**good, "data_batch_2.bin": good["data_batch_2.bin"][:-1]}, "corrupt_cifar"),
        ({**good, "test_batch.bin": b""}, "corrupt_cifar"),
        ({**hundred, "test.bin": hundred["test.bin"] + b"x"}, "corrupt_cifar"),
        ({**good, "batches.meta.txt": b"frog\n"}, "label_mismatch"),
        ({**good, "train.bin": hundred["train.bin"]}, "ambiguous_members"),
        ({**unnamed, "data_batch_2.bin": records(IMAGES[4:8], [0, 0, 0, 0])[:-7]}, "unrecognised_format"),
        ({**good, "batches.meta.txt": b"x" * 70_000}, "limit_exceeded"),
    ]:
        assert refused(make_zip(tmp_path / "up", files)).code == code
    error = refused(make_zip(tmp_path / "up", good), Limits(images=11))
    assert (error.code, error.context["value"]) == ("limit_exceeded", 12)
