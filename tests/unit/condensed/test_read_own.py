"""Our own artifacts come back as they were; so do tensors of others in safetensors."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from core.export import safetensors
from core.export.artifacts import write_all
from tests.support.sets import images
from tests.unit.export.conftest import NAMES, build

from .conftest import READ, labels, normalised, pixels, refused, same

IMAGES = normalised(pixels())
LABELS = labels()


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("name", ["condensed.safetensors", "condensed.npz", "condensed.pt"])
def test_our_exact_artifacts_come_back_bit_by_bit(
    read_file: READ, tmp_path: Path, name: str, channels: int
) -> None:
    made = build(channels=channels)
    write_all(made, tmp_path / "out")
    found = read_file(tmp_path / "out" / name)
    assert same(found.images_NCHW, made.images_NCHW) and found.labels is not None
    assert same(found.labels, made.labels_N)
    assert (found.layout.letter, found.classes, found.mean, found.std) == ("own", NAMES, made.mean, made.std)
    assert found.card == dict(made.card)


def test_our_png_archive_keeps_names_and_places_of_empty_classes(read_file: READ, tmp_path: Path) -> None:
    made = build(height=16, width=16)
    write_all(made, tmp_path / "out")
    found = read_file(tmp_path / "out" / "condensed-png.zip")
    order = np.argsort(made.labels_N, kind="stable")
    expected = made.pixels_uint8_NHWC()[order].transpose(0, 3, 1, 2).astype(np.float32)
    assert (found.layout.letter, found.space, found.classes) == ("own", "bytes", NAMES)
    assert same(found.images_NCHW, expected) and found.labels is not None
    assert same(found.labels, made.labels_N[order]) and (found.mean, found.std) == (made.mean, made.std)


def test_tensors_of_others_in_safetensors(read_file: READ, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"images": IMAGES, "labels": LABELS, "lr": np.zeros(1)}, path)
    found = read_file(path)
    assert (found.layout.letter, found.mean, found.dropped) == ("F", None, ("lr",))
    save_file({"weights": IMAGES}, path)
    assert refused(read_file, path).code == "unknown_layout"
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    assert refused(read_file, path).code == "corrupt_safetensors"


@pytest.mark.parametrize("second", [2, 5])
def test_a_safetensors_file_whose_length_begins_as_a_pickle_does(
    read_file: READ, tmp_path: Path, second: int
) -> None:
    """Its header is 0x10280 or 0x10580 bytes long."""
    path, made = tmp_path / "set.safetensors", images()
    safetensors.write(made, path)
    blob = path.read_bytes()
    length = int.from_bytes(blob[:8], "little")
    wanted = 0x10080 + second * 0x100
    padded = blob[8 : 8 + length] + b" " * (wanted - length)
    path.write_bytes(wanted.to_bytes(8, "little") + padded + blob[8 + length :])
    assert same(read_file(path).images_NCHW, made.images_NCHW)


def test_ours_is_normalised_however_much_like_noise(read_file: READ, tmp_path: Path) -> None:
    path = tmp_path / "set.safetensors"
    safetensors.write(images(), path)
    assert read_file(path).space == "normalised"
