"""Several sets as one."""

from pathlib import Path

import numpy as np
import torch

from core.condensed.join import joined
from core.condensed.publishing import facts_of
from core.engine.forms.collage import GREY, decode
from core.export.artifacts import write_all
from tests.support.sets import card, images
from tests.unit.export.conftest import build_collages


def test_disjoint_classes_follow_each_other() -> None:
    one, other = images(("b", "a"), seed=1), images(("d", "c"), seed=2)
    whole = joined([one, other], name="memory", license=None)
    assert whole.classes == ("b", "a", "d", "c")
    assert whole.labels_N.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    expected = np.concatenate([one.images_NCHW, other.images_NCHW])
    assert whole.images_NCHW.tobytes() == expected.tobytes()
    assert facts_of(whole)["decoded"] == 2


def test_equal_classes_get_the_images_of_each_by_name() -> None:
    one, other = images(("a", "b"), per_class=1, seed=1), images(("b", "a"), per_class=2, seed=2)
    whole = joined([one, other], name="memory", license=None)
    assert whole.classes == ("a", "b")
    assert whole.labels_N.tolist() == [0, 0, 0, 1, 1, 1]
    a, b = (one.images_NCHW[:1], other.images_NCHW[2:]), (one.images_NCHW[1:], other.images_NCHW[:2])
    assert whole.images_NCHW.tobytes() == np.concatenate([*a, *b]).tobytes()
    assert facts_of(whole)["stored"] == 3


def test_collages_are_joined_as_they_are_stored_and_decode_to_the_same_images() -> None:
    one, other = build_collages(2, height=16, width=16), build_collages(2, height=16, width=16)
    assert one.collages is not None and other.collages is not None
    whole = joined([one, other], name="memory", license=None)
    assert whole.collages is not None
    stored = whole.as_stored()
    order = np.argsort(np.tile(one.collages.labels_N, 2), kind="stable")
    both = np.concatenate([one.collages.images_NCHW, other.collages.images_NCHW])[order]
    assert stored.images_NCHW.tobytes() == both.tobytes()
    grey_C = torch.from_numpy((GREY - np.array(one.mean, np.float32)) / np.array(one.std, np.float32))
    expected = decode(torch.from_numpy(stored.images_NCHW), 2, grey_C).numpy()
    assert whole.images_NCHW.tobytes() == expected.tobytes()
    assert whole.labels_N.tolist() == np.tile(stored.labels_N, 4).tolist()
    assert facts_of(whole)["stored"] * 4 == facts_of(whole)["decoded"] == 16


def test_the_card_names_the_parts_and_nothing_of_the_day(tmp_path: Path) -> None:
    parts = [images(("a",), card=card("one", "mit")), images(("b",), card=card("two"))]
    whole = joined(parts, name="memory", license=None)
    assert whole.card["source"] == {"name": "memory", "sha256": "ab" * 32, "license": None}
    named = [part["source"]["name"] for part in whole.card["config"]["merged_of"]]
    assert named == ["one", "two"]
    assert whole.card["compute"] == {"flops": 2000, "flops_per_iteration": None}
    again = joined(parts, name="memory", license=None)
    first, second = (write_all(one, tmp_path / str(number)) for number, one in enumerate((whole, again)))
    assert [one.sha256 for one in first] == [one.sha256 for one in second]


def test_flops_are_unknown_if_those_of_a_part_are() -> None:
    unknown = card() | {"compute": {"flops": None, "flops_per_iteration": None}}
    whole = joined([images(("a",)), images(("b",), card=unknown)], name="memory", license=None)
    assert whole.card["compute"]["flops"] is None
