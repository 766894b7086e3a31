"""Torch files as each family of published code saves them."""

import pickle
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.condensed.published import torch_files
from core.condensed.published.limits import PublishedLimits

from .conftest import READ, labels, normalised, pixels, refused, same, tensors

IMAGES = normalised(pixels())
LABELS = labels()
NEW_AND_OLD = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])


def res(experiments: int = 2) -> dict[str, Any]:
    """As main.py of DatasetCondensation: numpy scalars among the accuracies."""
    return {
        "data": [tensors(IMAGES + n, LABELS) for n in range(experiments)],
        "accs_all_exps": {"ConvNet": [np.float64(0.31), np.float32(0.25)], "MLP": []},
    }


@NEW_AND_OLD
def test_the_official_res_file(read_file: READ, tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "res_DM_CIFAR10_ConvNet_2ipc.pt"
    torch.save(res(), path, _use_new_zipfile_serialization=zipped)
    found = read_file(path)
    assert (found.layout.letter, found.space, found.label_kind) == ("A", "normalised", "hard")
    assert (found.experiments, found.experiment, found.dropped) == (2, 1, ("accs_all_exps",))
    assert same(found.images_NCHW, IMAGES + 1) and found.images_NCHW.flags.owndata
    assert found.labels is not None and same(found.labels, LABELS)
    assert same(read_file(path, experiment=0).images_NCHW, IMAGES)
    assert refused(read_file, path, experiment=2).code == "no_such_experiment"


@NEW_AND_OLD
def test_numpy_scalars_under_their_old_name(read_file: READ, tmp_path: Path, zipped: bool) -> None:
    """numpy 1 pickled them as numpy.core.multiarray.scalar."""
    python: Any = pickle  # the typing of the standard library knows nothing of its pickler in Python
    scalar = type(np.float64(0).__reduce__()[0])

    class Pickler(python._Pickler):  # type: ignore[misc]
        def save_global(self, obj: Any, name: str | None = None) -> None:
            if getattr(obj, "__name__", "") == "scalar":
                self.write(b"cnumpy.core.multiarray\nscalar\n")
                self.memoize(obj)
            else:
                super().save_global(obj, name)

        dispatch = {**python._Pickler.dispatch, scalar: save_global, types.FunctionType: save_global}

    numpy_1: Any = types.ModuleType("pickle")
    numpy_1.Pickler, numpy_1.dump = Pickler, pickle.dump
    path = tmp_path / "res.pt"
    torch.save(res(), path, pickle_module=numpy_1, _use_new_zipfile_serialization=zipped)
    assert b"numpy.core.multiarray" in path.read_bytes() and b"numpy._core" not in path.read_bytes()
    assert same(read_file(path).images_NCHW, IMAGES + 1)


def test_nothing_of_numpy_is_called_for_them(tmp_path: Path) -> None:
    path = tmp_path / "res.pt"
    torch.save(res(), path)
    content = torch_files.load(path, PublishedLimits())
    (first, second) = content["accs_all_exps"]["ConvNet"]
    assert type(first) is type(second) is torch_files._Nothing and not vars(first)


def test_lists_of_names_are_left_as_they_were(read_file: READ, tmp_path: Path) -> None:
    before = set(torch.serialization.get_safe_globals())
    torch.save(res(), tmp_path / "res.pt")
    read_file(tmp_path / "res.pt")
    assert set(torch.serialization.get_safe_globals()) == before


def test_fred_has_one_level_more(read_file: READ, tmp_path: Path) -> None:
    images, hard = tensors(IMAGES, LABELS)
    torch.save({"data": [[(images, hard)]]}, tmp_path / "res.pt")
    found = read_file(tmp_path / "res.pt")
    assert found.layout.letter == "A" and same(found.images_NCHW, IMAGES)


@NEW_AND_OLD
def test_datadams_flat_dict(read_file: READ, tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "syn_data_CIFAR10_ipc_2.pt"
    torch.save({"data": tensors(IMAGES, LABELS)}, path, _use_new_zipfile_serialization=zipped)
    found = read_file(path)
    assert found.layout.letter == "D" and same(found.images_NCHW, IMAGES)


def test_idcs_list_of_undecoded_collages(read_file: READ, tmp_path: Path) -> None:
    raw = pixels()
    raw[0, 0, 0, 0] = 1.04  # the last step is not clamped
    torch.save(tensors(raw, LABELS), tmp_path / "data.pt")
    found = read_file(tmp_path / "data.pt")
    assert (found.layout.letter, found.space) == ("C", "unit")
    assert same(found.images_NCHW, raw)


def test_a_copy_of_kip_has_its_channels_last_and_no_labels(read_file: READ, tmp_path: Path) -> None:
    torch.save((torch.tensor(IMAGES.transpose(0, 2, 3, 1).copy()), 7), tmp_path / "kip.pt")
    found = read_file(tmp_path / "kip.pt")
    assert (found.layout.letter, found.label_kind, found.labels) == ("F", "absent", None)
    assert same(found.images_NCHW, IMAGES) and found.dropped == ("element 1",)


def test_a_tensor_alone(read_file: READ, tmp_path: Path) -> None:
    torch.save(torch.tensor(IMAGES), tmp_path / "cifar100.pt")
    found = read_file(tmp_path / "cifar100.pt")
    assert (found.layout.letter, found.label_kind) == ("L", "absent")
    torch.save(torch.tensor(LABELS), tmp_path / "labels_best.pt")
    assert refused(read_file, tmp_path / "labels_best.pt").code == "labels_alone"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.uint8])
def test_other_dtypes_become_float32(read_file: READ, tmp_path: Path, dtype: torch.dtype) -> None:
    images = (torch.tensor(pixels()) * 255).to(dtype)
    torch.save([images, torch.tensor(LABELS)], tmp_path / "data.pt")
    found = read_file(tmp_path / "data.pt")
    assert same(found.images_NCHW, images.float().numpy()) and found.space == "bytes"


def test_parameters_that_carry_gradients_are_detached(read_file: READ, tmp_path: Path) -> None:
    images = torch.nn.Parameter(torch.tensor(IMAGES))
    soft = torch.randn(10, 5, requires_grad=True)
    torch.save([images, soft], tmp_path / "data.pt")
    found = read_file(tmp_path / "data.pt")
    assert same(found.images_NCHW, IMAGES) and found.label_kind == "logits"


def test_a_slice_says_that_its_file_carries_more(read_file: READ, tmp_path: Path) -> None:
    many = torch.tensor(normalised(pixels(40)))
    torch.save([many[:10], torch.tensor(LABELS)], tmp_path / "data.pt")
    (note,) = read_file(tmp_path / "data.pt").notes
    assert f"{30 * 3 * 16 * 16 * 4:,} bytes beside the images" in note
