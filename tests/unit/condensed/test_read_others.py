"""Pairs of files, arrays and image folders; and archives of several."""

import io
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from core.condensed.published.limits import PublishedLimits

from .conftest import READ, labels, normalised, pixels, refused, same

IMAGES = normalised(pixels())
LABELS = labels()
SOFT = np.random.default_rng(1).normal(size=(10, 5)).astype(np.float32)


def torch_bytes(value: object, *, zipped: bool = True) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=zipped)
    return file.getvalue()


def zip_of(path: Path, members: dict[str, bytes], compression: int = 0) -> Path:
    with ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def pair(prefix: str = "", kind: str = "_best", *, more: dict[str, bytes] | None = None) -> dict[str, bytes]:
    return {
        f"{prefix}images{kind}.pt": torch_bytes(torch.tensor(IMAGES)),
        f"{prefix}labels{kind}.pt": torch_bytes(torch.tensor(LABELS), zipped=False),
        **(more or {}),
    }


# B: pairs.


@pytest.mark.parametrize(
    ("prefix", "kind"),
    [("", "_best"), ("run/", "_5000"), ("ema_", "_best"), ("", ""), ("a/b/", "_best")],
)
@pytest.mark.parametrize("compression", [0, 8])
def test_a_pair_in_a_zip(read_file: READ, tmp_path: Path, prefix: str, kind: str, compression: int) -> None:
    members = pair(prefix, kind, more={"readme": b"text"})
    found = read_file(zip_of(tmp_path / "up.zip", members, compression))
    assert (found.layout.letter, found.space, found.label_kind) == ("B", "normalised", "hard")
    assert same(found.images_NCHW, IMAGES) and found.labels is not None and same(found.labels, LABELS)


def test_a_pair_in_a_folder(read_file: READ, tmp_path: Path) -> None:
    folder = tmp_path / "up"
    folder.mkdir()
    for name, content in pair().items():
        (folder / name).write_bytes(content)
    assert same(read_file(folder).images_NCHW, IMAGES)


def test_learned_labels_and_their_learning_rate(read_file: READ, tmp_path: Path) -> None:
    members = pair(more={
        "labels_best.pt": torch_bytes(torch.tensor(SOFT, requires_grad=True)),
        "lr_best.pt": torch_bytes(torch.tensor(0.02)),
    })  # fmt: skip
    found = read_file(zip_of(tmp_path / "up.zip", members))
    assert found.label_kind == "logits" and found.labels is not None and same(found.labels, SOFT)
    assert found.dropped == ("lr_best.pt",) and "learning rate of 0.02" in found.notes[0]


def test_pictures_that_were_turned_back_from_zca_are_left_alone(read_file: READ, tmp_path: Path) -> None:
    members = pair(more={"images_zca_5000.pt": b"not even torch", "labels_zca_5000.pt": b""})
    assert same(read_file(zip_of(tmp_path / "up.zip", members)).images_NCHW, IMAGES)


def test_several_sets_are_not_chosen_from(read_file: READ, tmp_path: Path) -> None:
    error = refused(read_file, zip_of(tmp_path / "up.zip", {**pair(), **pair("", "_5000")}))
    assert error.code == "ambiguous_members" and "images_5000.pt" in error.detail


def test_a_pair_of_other_things(read_file: READ, tmp_path: Path) -> None:
    error = refused(
        read_file, zip_of(tmp_path / "up.zip", pair(more={"labels_best.pt": torch_bytes({"a": 1})}))
    )
    assert error.code == "unknown_layout"
    error = refused(read_file, zip_of(tmp_path / "up.zip", pair(more={"labels_best.pt": b"text" * 200})))
    assert error.code == "unknown_layout"


def test_one_file_in_a_zip(read_file: READ, tmp_path: Path) -> None:
    content = torch_bytes([torch.tensor(pixels()), torch.tensor(LABELS)])
    found = read_file(zip_of(tmp_path / "up.zip", {"run/data.pt": content, "run/log.txt": b"x"}, 8))
    assert (found.layout.letter, found.space) == ("C", "unit")


def test_archives_are_opened_one_level_deep(read_file: READ, tmp_path: Path) -> None:
    inner = zip_of(tmp_path / "inner.zip", {"x.txt": b"x"}).read_bytes()
    assert refused(read_file, zip_of(tmp_path / "up.zip", {"a.npz": inner})).code == "ambiguous_members"


# F and G: arrays.


def npz(path: Path, *, compressed: bool = False, **arrays: NDArray[Any]) -> Path:
    (np.savez_compressed if compressed else np.savez)(path, **arrays)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("last", [True, False], ids=["KIP", "RFAD"])
def test_kernel_methods_share_keys_and_not_axes(
    read_file: READ, tmp_path: Path, last: bool, compressed: bool
) -> None:
    centred = np.eye(5)[LABELS] - 0.2
    images = IMAGES.transpose(0, 2, 3, 1) if last else IMAGES
    path = npz(
        tmp_path / "best.npz", compressed=compressed, images=np.asarray(images, np.float64), labels=centred,
        k=np.array(3), jit=np.array([{}], object),
    )  # fmt: skip
    found = read_file(path)
    assert (found.layout.letter, found.label_kind, found.dropped) == ("F", "centred", ("jit", "k"))
    assert same(found.images_NCHW, IMAGES)


def test_frepos_names(read_file: READ, tmp_path: Path) -> None:
    path = npz(tmp_path / "x.npz", image=IMAGES.transpose(0, 2, 3, 1), label=SOFT)
    assert read_file(path).label_kind == "logits"


def test_axes_that_could_be_either_are_refused(read_file: READ, tmp_path: Path) -> None:
    path = npz(tmp_path / "x.npz", images=np.zeros((2, 3, 9, 3), np.float32), labels=np.zeros(2, np.int64))
    assert refused(read_file, path).code == "ambiguous_axes"


def test_arrays_of_objects_are_refused(read_file: READ, tmp_path: Path) -> None:
    path = npz(tmp_path / "x.npz", images=np.array([{}], object), labels=np.zeros(1))
    assert refused(read_file, path).code == "object_array"


def test_an_array_that_states_more_than_it_holds(read_file: READ, tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (10, 3, 99, 99)}
    )
    path = zip_of(tmp_path / "x.npz", {"images.npy": header.getvalue(), "labels.npy": header.getvalue()})
    assert refused(read_file, path).code == "corrupt_npy"
    limits = PublishedLimits(values=10 * 3 * 99 * 99 - 1)
    assert refused(read_file, path, limits=limits).context["limit_name"] == "values"


def test_an_npz_of_other_things(read_file: READ, tmp_path: Path) -> None:
    assert refused(read_file, npz(tmp_path / "x.npz", weights=SOFT)).code == "unknown_layout"


def test_flax_checkpoints_and_parquet_are_named(read_file: READ, tmp_path: Path) -> None:
    (tmp_path / "checkpoint_100").write_bytes(b"\x82\xa4step\x64\xa6params\x81\xa7x_proto\xc0")
    error = refused(read_file, tmp_path / "checkpoint_100")
    assert (error.code, error.context["layout"]) == ("layout_not_read", "G")
    assert "numpy.savez" in error.detail and "ema_average" in error.detail
    (tmp_path / "train.parquet").write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    assert refused(read_file, tmp_path / "train.parquet").context["layout"] == "M"


# H: folders of images.


def image(levels_HWC: NDArray[np.uint8], format: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(levels_HWC.squeeze()).save(file, format=format)
    return file.getvalue()


LEVELS = np.rint(pixels() * 255).astype(np.uint8).transpose(0, 2, 3, 1)


def folders(name: str, format: str = "PNG", levels: NDArray[np.uint8] = LEVELS) -> dict[str, bytes]:
    suffix = {"PNG": "png", "JPEG": "jpg"}[format]
    return {
        f"{name.format(LABELS[row])}/img_id{row:03d}.{suffix}": image(levels[row], format)
        for row in range(len(LABELS))
    }


@pytest.mark.parametrize("name", ["new{:03d}", "{:05d}", "top/{:d}"])
def test_numbered_folders_are_labels(read_file: READ, tmp_path: Path, name: str) -> None:
    found = read_file(zip_of(tmp_path / "up.zip", folders(name)))
    assert (found.layout.letter, found.space, found.classes) == ("H", "bytes", None)
    assert same(found.images_NCHW, LEVELS.transpose(0, 3, 1, 2).astype(np.float32))
    assert found.labels is not None and same(found.labels, LABELS)


def test_numbers_are_read_as_numbers(read_file: READ, tmp_path: Path) -> None:
    members = {f"{label}/0.png": image(LEVELS[label % 9], "PNG") for label in (2, 10, 1)}
    found = read_file(zip_of(tmp_path / "up.zip", members))
    pixels_by_label = dict(zip(found.labels.tolist(), found.images_NCHW, strict=True))  # type: ignore[union-attr]
    assert {*pixels_by_label} == {1, 2, 10} and (pixels_by_label[2] == LEVELS[2].transpose(2, 0, 1)).all()


def test_jpegs_in_named_folders(read_file: READ, tmp_path: Path) -> None:
    found = read_file(zip_of(tmp_path / "up.zip", folders("class-{}", "JPEG")))
    assert found.classes == tuple(f"class-{n}" for n in range(5)) and found.images_NCHW.shape == (
        10,
        3,
        16,
        16,
    )


def test_images_of_unequal_size_or_not_square(read_file: READ, tmp_path: Path) -> None:
    members = folders("{}") | {"0/x.png": image(LEVELS[0, :8, :8], "PNG")}
    assert refused(read_file, zip_of(tmp_path / "a.zip", members)).code == "unsupported_shape"
    oblong = folders("{}", levels=LEVELS[:, :, :8])
    assert refused(read_file, zip_of(tmp_path / "b.zip", oblong)).code == "unsupported_shape"


def test_an_image_that_does_not_decode_is_no_smaller_set(read_file: READ, tmp_path: Path) -> None:
    members = folders("{}")
    members["0/img_id000.png"] = members["0/img_id000.png"][:-40]
    error = refused(read_file, zip_of(tmp_path / "up.zip", members))
    assert (error.code, error.context["member"]) == ("undecodable_image", "0/img_id000.png")


def test_what_is_nothing_of_all_this(read_file: READ, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"just text " * 100)
    error = refused(read_file, tmp_path / "x")
    assert error.code == "unknown_layout" and "images_best.pt" in error.detail and "IDX" not in error.detail
    (tmp_path / "x").write_bytes(b"")
    assert refused(read_file, tmp_path / "x").code == "empty_file"
    error = refused(read_file, zip_of(tmp_path / "up.zip", {"a.txt": b"x"}))
    assert error.code == "unknown_layout" and "images_best.pt" in error.detail
