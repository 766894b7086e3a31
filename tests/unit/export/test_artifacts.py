"""Every format is read back with its own library, and equal sets give equal bytes."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file
from torchvision.datasets import ImageFolder  # type: ignore[import-untyped, unused-ignore]

from core.errors import JobError
from core.export import pt
from core.export.artifacts import verify, write_all
from core.export.condensed import CondensedSet
from core.export.writer import writers
from tests.unit.export.conftest import EMPTY, MAKE, NAMES, card

ROOT = Path(__file__).parents[3]
MADE_IN_ANOTHER_PROCESS = """
import sys
import tarfile
from pathlib import Path
from core.export.artifacts import write_all
from tests.unit.export.conftest import build
print(*(a.sha256 for a in write_all(build(), Path(sys.argv[1]))))
"""


def same_bits(found: NDArray[Any], expected: NDArray[Any]) -> bool:
    return (found.dtype, found.shape, found.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())


def test_the_list_describes_the_files(condensed: CondensedSet, tmp_path: Path) -> None:
    written = write_all(condensed, tmp_path / "new" / "folder")
    assert [(a.format, a.file_name) for a in written] == [
        ("safetensors", "condensed.safetensors"),
        ("manifest", "manifest.json"),
        ("npz", "condensed.npz"),
        ("pt", "condensed.pt"),
        ("parquet", "condensed-parquet.zip"),
        ("webdataset", "condensed-webdataset.tar"),
        ("png", "condensed-png.zip"),
        ("preview", "preview.png"),
    ]
    assert {a.path for a in written} == set((tmp_path / "new" / "folder").iterdir())
    for artifact in written:
        content = artifact.path.read_bytes()
        assert artifact.path.name == artifact.file_name
        assert (artifact.size, artifact.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_safetensors_is_exact(condensed: CondensedSet, tmp_path: Path) -> None:
    write_all(condensed, tmp_path)
    path = tmp_path / "condensed.safetensors"
    tensors = load_file(path)
    assert same_bits(tensors["images"], condensed.images_NCHW)
    assert same_bits(tensors["labels"], condensed.labels_N)
    with safe_open(path, framework="numpy") as file:
        metadata = {field: json.loads(text) for field, text in file.metadata().items()}
    assert metadata == condensed.provenance(pixels_normalised=True)
    assert metadata["classes"] == list(NAMES)


def test_npz_is_exact_without_pickle(condensed: CondensedSet, tmp_path: Path) -> None:
    write_all(condensed, tmp_path)
    with np.load(tmp_path / "condensed.npz", allow_pickle=False) as arrays:
        assert same_bits(arrays["images"], condensed.images_NCHW)
        assert same_bits(arrays["labels"], condensed.labels_N)
        assert tuple(arrays["mean"]) == condensed.mean and tuple(arrays["std"]) == condensed.std
        assert tuple(arrays["classes"]) == NAMES
        assert arrays["card"].shape == ()
        assert json.loads(str(arrays["card"])) == condensed.provenance(pixels_normalised=True)


def test_pt_has_the_layout_of_published_evaluators(condensed: CondensedSet, tmp_path: Path) -> None:
    write_all(condensed, tmp_path)
    content = torch.load(tmp_path / "condensed.pt", weights_only=True)
    images, labels = content["data"][-1]
    assert images.dtype == torch.float32 and same_bits(images.numpy(), condensed.images_NCHW)
    assert labels.dtype == torch.int64 and same_bits(labels.numpy(), condensed.labels_N)
    assert content["mean"] == list(condensed.mean) and content["std"] == list(condensed.std)
    assert content["classes"] == list(NAMES)
    assert content["card"] == condensed.provenance(pixels_normalised=True)


def test_manifest_names_the_canonical_file(condensed: CondensedSet, tmp_path: Path) -> None:
    write_all(condensed, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256((tmp_path / "condensed.safetensors").read_bytes()).hexdigest()
    assert manifest["safetensors"] == {"file_name": "condensed.safetensors", "sha256": digest}
    assert manifest["images"]["shape"] == list(condensed.images_NCHW.shape)
    assert manifest["images"]["dtype"] == "float32" and manifest["pixels_normalised"] is True
    assert {field: manifest[field] for field in card()} == card()


def test_png_is_an_image_folder_within_half_a_grey_level(condensed: CondensedSet, tmp_path: Path) -> None:
    write_all(condensed, tmp_path)
    folder = tmp_path / "unpacked"
    with ZipFile(tmp_path / "condensed-png.zip") as archive:
        assert archive.testzip() is None
        archive.extractall(folder)
        stated = json.loads(archive.read("manifest.json"))
    stored = sorted(path.name for path in folder.glob("stored-*.png"))
    if condensed.collages is None:
        assert stored == []
    else:
        labels = sorted(condensed.collages.labels_N.tolist())
        assert [int(name.split("-")[1].split("_")[0]) for name in stored] == labels
    dataset = ImageFolder(folder, allow_empty=True)
    assert [name.split("_")[0] for name in dataset.classes] == [f"{i:02d}" for i in range(len(NAMES))]
    assert stated["png"]["folders"] == dataset.classes
    assert stated["pixels_normalised"] is False and stated["images"]["dtype"] == "uint8"
    assert dataset.targets == sorted(condensed.labels_N.tolist()) and EMPTY not in dataset.targets

    order = np.argsort(condensed.labels_N, kind="stable")
    expected = np.clip(condensed.pixels_NCHW(), 0, 1).transpose(0, 2, 3, 1)[order] * 255
    channels = expected.shape[3]
    for (path, _), pixels in zip(dataset.samples, expected, strict=True):
        with Image.open(path) as image:
            assert image.mode == {1: "L", 3: "RGB", 4: "RGBA"}[channels]
            found = np.asarray(image, np.float32).reshape(pixels.shape)
        assert np.abs(found - pixels).max() <= 0.5 + 1e-4
    outside = np.mean((condensed.pixels_NCHW() < 0) | (condensed.pixels_NCHW() > 1))
    assert stated["png"]["clamped_fraction"] == pytest.approx(outside) and outside > 0.05


def test_images_of_a_class_stay_in_order_beyond_ten(make: MAKE, tmp_path: Path) -> None:
    levels = np.arange(12, dtype=np.float32)
    images = np.broadcast_to(levels[:, None, None, None] / 255, (12, 1, 4, 4)).copy()
    condensed = make(channels=1, images_NCHW=images, labels_N=np.zeros(12, np.int64), mean=(0.0,), std=(1.0,))
    write_all(condensed, tmp_path)
    with ZipFile(tmp_path / "condensed-png.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".png"))
        found = [np.asarray(Image.open(io.BytesIO(archive.read(name))))[0, 0] for name in names]
    assert found == levels.tolist()


def test_members_of_the_zip_stay_inside_their_folder(condensed: CondensedSet, tmp_path: Path) -> None:
    write_all(condensed, tmp_path)
    with ZipFile(tmp_path / "condensed-png.zip") as archive:
        names = archive.namelist()
    assert all(name.count("/") <= 1 and "\\" not in name and ".." not in name for name in names)
    assert len(names) == len(set(names))


def test_the_tar_says_nothing_of_when_and_by_whom_it_was_written(
    condensed: CondensedSet, tmp_path: Path
) -> None:
    write_all(condensed, tmp_path)
    with tarfile.open(tmp_path / "condensed-webdataset.tar", "r:") as archive:
        members = archive.getmembers()
    stored = [] if condensed.collages is None else ["__stored__", "__stored_labels__"]
    assert [member.name for member in members[: 6 + len(stored)]] == [
        "__README__", "__manifest__", *stored, "000000.png", "000000.cls", "000000.npy", "000001.png",
    ]  # fmt: skip
    assert len(members) == 2 + len(stored) + 3 * len(condensed.labels_N)
    for one in members:
        assert (one.mtime, one.uid, one.gid, one.uname, one.gname, one.mode) == (0, 0, 0, "", "", 0o644)
        assert one.isreg() and one.pax_headers == {}


def test_equal_sets_give_equal_bytes_in_another_process_and_folder(make: MAKE, tmp_path: Path) -> None:
    written = write_all(make(card=dict(reversed(card().items()))), tmp_path / "here")
    other = subprocess.run(
        [sys.executable, "-c", MADE_IN_ANOTHER_PROCESS, str(tmp_path / "there")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.split() == [a.sha256 for a in written]


def test_another_set_gives_other_bytes_in_every_format(make: MAKE, tmp_path: Path) -> None:
    one = write_all(make(), tmp_path / "one")
    two = write_all(make(images_NCHW=-make().images_NCHW), tmp_path / "two")
    assert all(a.sha256 != b.sha256 for a, b in zip(one, two, strict=True))


def test_sets_that_are_not_contiguous_are_written_right(make: MAKE, tmp_path: Path) -> None:
    straight = make(height=6, width=6)
    turned_NCHW = straight.images_NCHW.transpose(0, 1, 3, 2)
    assert not turned_NCHW.flags.c_contiguous
    turned = make(images_NCHW=turned_NCHW, labels_N=straight.labels_N)
    plain = make(images_NCHW=turned_NCHW.copy(), labels_N=straight.labels_N)
    first = write_all(turned, tmp_path / "turned")
    assert [a.sha256 for a in first] == [a.sha256 for a in write_all(plain, tmp_path / "plain")]


EXACT = {format.name: writer for format, writer in writers() if writer.read is not None}


def test_the_exact_formats() -> None:
    assert [*EXACT] == ["safetensors", "npz", "pt", "parquet", "webdataset"]


@pytest.mark.parametrize("name", EXACT)
def test_a_file_that_reads_back_differently_is_refused(make: MAKE, tmp_path: Path, name: str) -> None:
    condensed = make()
    path = tmp_path / "file"
    changed_NCHW = condensed.images_NCHW.copy()
    changed_NCHW[3, 1, 2, 0] = np.nextafter(changed_NCHW[3, 1, 2, 0], np.float32(9))
    read = EXACT[name].read
    assert read is not None
    EXACT[name].write(make(images_NCHW=changed_NCHW, mean=(0.5, 0.5, 0.5)), path)
    with pytest.raises(JobError, match="file read back differs from the set in images, mean:") as caught:
        verify(condensed, read(path), path)
    assert caught.value.code == "artifact_mismatch"


def test_verify_tells_the_two_zeros_apart(make: MAKE, tmp_path: Path) -> None:
    zeros = np.zeros((1, 3, 4, 4), np.float32)
    positive, negative = (make(images_NCHW=x, labels_N=np.array([0])) for x in (zeros, -zeros))
    with pytest.raises(JobError, match="images"):
        verify(positive, negative, tmp_path)


def test_the_bytes_of_a_pt_file_do_not_depend_on_its_name(make: MAKE, tmp_path: Path) -> None:
    for name in ("one.pt", "another.pt"):
        pt.write(make(), tmp_path / name)
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "another.pt").read_bytes()
