"""From a published file to a set with its card."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.condensed.published.limits import PublishedLimits
from core.condensed.publishing import facts_of
from core.condensed.uploaded import Uploaded, read_upload
from core.errors import DataError
from core.export import safetensors
from core.export.artifacts import write_all
from tests.support.sets import card, images
from tests.unit.condensed.conftest import CLASSES, FACTS, MEAN, STD, labels, normalised, pixels, tensors
from tests.unit.export.conftest import build_collages

READ = Callable[..., Uploaded]


@pytest.fixture
def read(tmp_path: Path) -> READ:
    work = tmp_path / "work"
    work.mkdir()

    def call(path: Path, **given: Any) -> Uploaded:
        defaults: dict[str, Any] = {
            "name": "theirs", "sha256": "cd" * 32, "license": "mit", "stated": {}, "facts": FACTS,
            "limits": PublishedLimits(),
        }  # fmt: skip
        return read_upload(path, work, **(defaults | given))

    return call


def official(path: Path, experiments: int = 3) -> Path:
    """As the official evaluator's res_*.pt."""
    sets = [tensors(normalised(pixels(seed=number)), labels()) for number in range(experiments)]
    torch.save({"data": sets, "accs_all_exps": {"ConvNet": [0.4]}}, path)
    return path


ANSWERS = {"experiment": 1, "mean": list(MEAN), "std": list(STD)}


def test_questions_are_asked_and_then_answered(read: READ, tmp_path: Path) -> None:
    path = official(tmp_path / "res_DM.pt")
    with pytest.raises(DataError) as raised:
        read(path)
    assert raised.value.code == "condensed_set_unclear"
    asked = {one["answer"] for one in raised.value.context["findings"] if one["severity"] == "ask"}
    assert asked == {"experiment", "mean"}
    found = read(path, stated=ANSWERS)
    expected = normalised(pixels(seed=1))
    assert found.condensed.images_NCHW.tobytes() == expected.tobytes()
    assert found.condensed.labels_N.tolist() == labels().tolist()
    assert (found.condensed.classes, found.condensed.mean, found.condensed.std) == (CLASSES, MEAN, STD)
    assert (found.noticed["layout_family"], found.condensed.collages) == ("A", None)
    assert {one["severity"] for one in found.noticed["findings"]} == {"note"}


def test_the_card_says_what_was_stated_and_no_more(read: READ, tmp_path: Path) -> None:
    found = read(official(tmp_path / "res_DM.pt"), stated=ANSWERS)
    made = found.condensed.card
    assert made["source"] == {"name": "theirs", "sha256": "cd" * 32, "license": "mit"}
    assert made["config"]["layout_family"] == "A"
    assert made["config"]["stated"] == {"experiment": 1, "mean": MEAN, "std": STD}
    assert made["evaluation"]["results"] == []
    written = {one.format for one in write_all(found.condensed, tmp_path / "out")}
    assert {"safetensors", "parquet", "preview"} <= written
    text = (tmp_path / "out" / "manifest.json").read_text()
    assert "theirs" in text


def test_tiles_of_collages_count_once_as_stored(read: READ, tmp_path: Path) -> None:
    path = tmp_path / "data.pt"
    torch.save(tensors(pixels(), labels()), path)
    found = read(path, stated={"factor": 2, "of_data_set": True, "space": "unit"})
    facts = facts_of(found.condensed)
    assert (facts["form"], facts["stored"], facts["decoded"]) == ("collage-2", 2, 8)
    assert set(found.condensed.images_per_class) == {8}
    assert found.condensed.collages is not None
    np.testing.assert_allclose(found.condensed.as_stored().pixels_NCHW(), pixels(), atol=1e-6)


@pytest.mark.parametrize("name", ["condensed.safetensors", "condensed.npz", "condensed.pt"])
def test_our_own_collages_come_back_as_they_were_stored(read: READ, tmp_path: Path, name: str) -> None:
    made = build_collages(3, height=16, width=16)
    assert made.collages is not None
    write_all(made, tmp_path / "out")
    found = read(tmp_path / "out" / name, facts=None, license=None).condensed
    assert found.collages is not None
    assert found.collages.images_NCHW.tobytes() == made.collages.images_NCHW.tobytes()
    assert found.images_NCHW.tobytes() == made.images_NCHW.tobytes()
    assert found.labels_N.tolist() == made.labels_N.tolist()
    assert (found.card, facts_of(found)["form"]) == (made.card, "collage-3")


def test_ours_comes_back_with_its_own_card(read: READ, tmp_path: Path) -> None:
    path, made = tmp_path / "condensed.safetensors", images(card=card("cifar", "cc0-1.0"))
    safetensors.write(made, path)
    found = read(path, facts=None, license=None).condensed
    assert found.images_NCHW.tobytes() == made.images_NCHW.tobytes()
    assert (found.classes, found.mean, found.std) == (made.classes, made.mean, made.std)
    assert found.card == made.card
    assert read(path, facts=None, license="mit").condensed.card["source"]["license"] == "mit"


def test_what_was_changed_by_a_statement_has_another_card(read: READ, tmp_path: Path) -> None:
    path = tmp_path / "condensed.safetensors"
    safetensors.write(images(), path)
    found = read(path, facts=None, stated={"class_order": [1, 0]}).condensed
    assert found.labels_N.tolist() == [1, 1, 0, 0]
    assert found.card["created_by"].startswith("others")
    assert found.card["config"]["stated"] == {"class_order": (1, 0)}


def test_a_file_that_names_no_classes_needs_a_data_set(read: READ, tmp_path: Path) -> None:
    path = tmp_path / "data.pt"
    torch.save(tensors(pixels(), labels()), path)
    with pytest.raises(DataError) as raised:
        read(path, facts=None)
    assert raised.value.code == "condensed_set_unclear"
    assert [one["answer"] for one in raised.value.context["findings"]] == ["dataset_id"]


@pytest.mark.parametrize(
    "broken",
    [
        {"compute": {"flops": "many", "flops_per_iteration": 1}},
        {"source": {"name": ["x"], "sha256": "ab", "license": None}},
        {"source": {"name": "x", "sha256": "ab", "license": "y" * 201}},
        {"source": {"name": "x", "sha256": "ab", "license": 5}},
        {"evaluation": {"protocol": "", "limits": 5, "results": []}},
    ],
)
def test_a_strangers_card_is_refused_if_it_cannot_be_written(
    read: READ, tmp_path: Path, broken: dict[str, Any]
) -> None:
    path = tmp_path / "condensed.safetensors"
    safetensors.write(images(card=card() | broken), path)
    with pytest.raises(DataError) as raised:
        read(path, facts=None, license=None)
    assert raised.value.code == "corrupt_card"


def test_a_set_that_is_not_square_is_refused(read: READ, tmp_path: Path) -> None:
    path = tmp_path / "condensed.safetensors"
    made = images(images_NCHW=np.zeros((4, 1, 8, 16), np.float32))
    safetensors.write(made, path)
    with pytest.raises(DataError) as raised:
        read(path, facts=None)
    assert raised.value.code == "unsupported_shape"
