"""Torch files that are not read: names in the pickle, layouts, damage and sizes."""

import fractions
import pickle
import types
from collections import OrderedDict
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch

from core.condensed.published import torch_files
from core.condensed.published.limits import PublishedLimits
from core.errors import DataError

from .conftest import READ, labels, normalised, pixels, refused, same, tensors

IMAGES = normalised(pixels())
LABELS = labels()
NEW_AND_OLD = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])


@NEW_AND_OLD
@pytest.mark.parametrize("value", [fractions.Fraction(1, 3), types.SimpleNamespace(lr=0.1), np.zeros(3)])
def test_other_names_in_the_pickle_are_refused_unread(
    read_file: READ, tmp_path: Path, zipped: bool, value: object
) -> None:
    """An argparse Namespace, a whole module or an array are refused in the same way."""
    path = tmp_path / "data.pt"
    torch.save({"data": tensors(IMAGES, LABELS), "args": value}, path, _use_new_zipfile_serialization=zipped)
    error = refused(read_file, path)
    name = {"Fraction": "fractions.Fraction", "SimpleNamespace": "types.SimpleNamespace"}
    expected = name.get(type(value).__name__, "numpy._core.multiarray._reconstruct")
    assert (error.code, error.context["name"]) == ("unsafe_pickle", expected)
    assert "torch.save([images, labels]" in error.detail


def test_torchs_own_reader_is_a_second_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a name let through by our list, torch would still not import it."""
    monkeypatch.setattr(torch_files, "_check_name", lambda name: None)
    path = tmp_path / "data.pt"
    torch.save({"data": fractions.Fraction(1, 3)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(DataError) as caught:
        torch_files.load(path, PublishedLimits())
    assert caught.value.code == "corrupt_torch_file"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_bare_pickle_is_refused_with_the_line_that_saves_it_again(
    read_file: READ, tmp_path: Path, protocol: int
) -> None:
    path = tmp_path / "acc_0.6731.pkl"
    path.write_bytes(pickle.dumps((IMAGES.tolist(), [1]), protocol=protocol))
    error = refused(read_file, path)
    assert error.code == "bare_pickle"
    assert 'torch.save([images.cpu(), labels.cpu()], "data.pt")' in error.detail


def test_the_line_saves_it_again(read_file: READ, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("NAME.pkl").write_bytes(pickle.dumps(tuple(tensors(IMAGES, LABELS))))
    line = refused(read_file, Path("NAME.pkl")).detail.partition("its code): ")[2]
    exec(line)
    assert same(read_file(Path("data.pt")).images_NCHW, IMAGES)


def test_sparse_tensors_are_parts_of_a_decoder(read_file: READ, tmp_path: Path) -> None:
    torch.save([torch.eye(3).to_sparse()], tmp_path / "scm_best.pt")
    error = refused(read_file, tmp_path / "scm_best.pt")
    assert (error.code, error.context["layout"]) == ("layout_not_read", "J")


@pytest.mark.parametrize(
    ("content", "letter"),
    [
        ([(torch.zeros(2, 3, 8, 8), torch.zeros(2), torch.tensor(0.1))] * 2, "K"),
        ([torch.zeros(4, 4), torch.zeros(4), None, None, None, torch.zeros(4, 5)], "I"),
    ],
)
def test_families_that_are_no_sets_are_named(
    read_file: READ, tmp_path: Path, content: object, letter: str
) -> None:
    torch.save(content, tmp_path / "results.pth")
    error = refused(read_file, tmp_path / "results.pth")
    assert (error.code, error.context["layout"]) == ("layout_not_read", letter)


@pytest.mark.parametrize(
    "content",
    [
        {"net_parameters": OrderedDict(weight=torch.zeros(3))},
        {"data": []},
        {"data": ["text"]},
        ["text", torch.zeros(1)],
        "text",
        [],
    ],
    ids=str,
)
def test_what_has_no_layout_is_described_and_refused(
    read_file: READ, tmp_path: Path, content: object
) -> None:
    torch.save(content, tmp_path / "x.pt")
    assert refused(read_file, tmp_path / "x.pt").code == "unknown_layout"


def test_shared_nesting_costs_no_memory_when_it_is_refused(read_file: READ, tmp_path: Path) -> None:
    value: object = ()
    for _ in range(60):
        value = (value, value)  # written out it would be 2**60 pairs
    torch.save({"data": [value]}, tmp_path / "x.pt")
    error = refused(read_file, tmp_path / "x.pt")
    assert error.code == "unknown_layout" and len(error.detail) < 1000


@NEW_AND_OLD
def test_files_that_are_cut_short(read_file: READ, tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "data.pt"
    torch.save(tensors(IMAGES, LABELS), path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for keep in (20, 200, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:keep])
        assert refused(read_file, path).code in ("corrupt_torch_file", "truncated_archive", "corrupt_archive")


def test_labels_that_are_none(read_file: READ, tmp_path: Path) -> None:
    for wrong in (LABELS[:-1], LABELS.astype(np.float32) + 0.5, LABELS.reshape(5, 2, 1)):
        torch.save(tensors(IMAGES, wrong), tmp_path / "data.pt")
        assert refused(read_file, tmp_path / "data.pt").code == "label_mismatch"


def test_images_that_are_none(read_file: READ, tmp_path: Path) -> None:
    for wrong, code in (
        (torch.zeros(2, 5, 8, 8), "unsupported_shape"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.int64), "unsupported_tensor"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.complex64), "unsupported_tensor"),
    ):
        torch.save({"data": [wrong, torch.zeros(2, dtype=torch.int64)]}, tmp_path / "data.pt")
        error = refused(read_file, tmp_path / "data.pt")
        assert error.code in (code, "unsafe_pickle")


# Sizes.


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (PublishedLimits(file_bytes=1000), "file_bytes"),
        (PublishedLimits(images=9), "images"),
        (PublishedLimits(values=10 * 3 * 16 * 16 - 1), "values"),
        (PublishedLimits(pickle_bytes=100), "pickle_bytes"),
        (PublishedLimits(pickle_operations=20), "pickle_operations"),
    ],
)
@NEW_AND_OLD
def test_every_limit_holds(
    read_file: READ, tmp_path: Path, zipped: bool, limits: PublishedLimits, name: str
) -> None:
    path = tmp_path / "data.pt"
    torch.save(tensors(IMAGES, LABELS), path, _use_new_zipfile_serialization=zipped)
    error = refused(read_file, path, limits=limits)
    assert (error.code, error.context["limit_name"]) == ("limit_exceeded", name)


def test_an_image_repeated_by_its_strides_is_counted_and_never_written_out(
    read_file: READ, tmp_path: Path
) -> None:
    huge = torch.zeros(1, 3, 1, 1).expand(150_000, 3, 512, 512)  # 3 TB, in a file of a kilobyte
    torch.save([huge, torch.tensor(LABELS)], tmp_path / "data.pt")
    assert (tmp_path / "data.pt").stat().st_size < 10_000
    error = refused(read_file, tmp_path / "data.pt")
    assert (error.code, error.context["limit_name"]) == ("limit_exceeded", "values")


def test_a_deflated_torch_file_is_held_against_what_it_expands_to(read_file: READ, tmp_path: Path) -> None:
    torch.save([torch.zeros(64, 3, 64, 64), torch.zeros(64, dtype=torch.int64)], tmp_path / "plain.pt")
    with ZipFile(tmp_path / "plain.pt") as plain, ZipFile(tmp_path / "data.pt", "w", 8) as deflated:
        for one in plain.infolist():
            deflated.writestr(one.filename, plain.read(one), compress_type=8)
    assert (tmp_path / "data.pt").stat().st_size < 50_000
    error = refused(read_file, tmp_path / "data.pt", limits=PublishedLimits(file_bytes=1024**2))
    assert error.code == "limit_exceeded"
