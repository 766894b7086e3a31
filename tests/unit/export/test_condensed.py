"""What a condensed set refuses, and how pixels come out of it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.errors import JobError
from core.export.condensed import CondensedSet
from tests.unit.export.conftest import MAKE, NAMES, build_collages, card

IMAGES = np.zeros((2, 1, 4, 4), np.float32)
LABELS = np.array([0, 1])


def with_result(**values: object) -> dict[str, Any]:
    changed = card()
    changed["evaluation"]["results"][0].update(values)
    return changed


def without(*path: str) -> dict[str, Any]:
    changed = card()
    node = changed
    for step in path[:-1]:
        node = node[step]
    del node[path[-1]]
    return changed


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"images_NCHW": IMAGES.astype(np.float64)}, "float64"),
        ({"images_NCHW": IMAGES[0]}, r"\(1, 4, 4\)"),
        ({"images_NCHW": np.zeros((2, 2, 4, 4), np.float32)}, r"1, 3 or 4.*\(2, 2, 4, 4\)"),
        ({"images_NCHW": IMAGES[:0], "labels_N": LABELS[:0]}, r"empty axis.*\(0, 1, 4, 4\)"),
        ({"labels_N": LABELS.astype(np.int32)}, "int32"),
        ({"labels_N": np.array([0, 1, 1])}, r"\(2,\), got int64 \(3,\)"),
        ({"labels_N": np.array([0, len(NAMES)])}, r"0\.\.10 \(11 classes\), got 0\.\.11"),
        ({"labels_N": np.array([-1, 1])}, r"got -1\.\.1"),
        ({"mean": (0.5, 0.5)}, "got 2 and 1"),
        ({"std": (0.0,)}, "std above 0"),
        ({"mean": (float("nan"),)}, "finite"),
        ({"classes": ("a", "b\0")}, r"class 1 .*'b\\x00'"),
        ({"classes": ("a\udce4", "b")}, "class 0"),
        ({"classes": ("a", "b", "b")}, "2 classes have the name 'b'"),
        ({"card": without("seeds")}, "card lacks seeds"),
        ({"card": without("source", "sha256")}, r"card\.source lacks sha256"),
        ({"card": without("source", "license")}, r"card\.source lacks license"),
        ({"card": without("compute", "flops")}, r"card\.compute lacks flops"),
        ({"card": without("evaluation", "protocol")}, r"card\.evaluation lacks protocol"),
        ({"card": {**card(), "engine": "0.1"}}, r"card\.engine must be a mapping, got str"),
        ({"card": {**card(), "classes": ["a"]}}, "must not state classes"),
        ({"card": {**card(), "config": {"path": IMAGES}}}, "not JSON"),
        ({"card": {**card(), "config": {"lr": float("inf")}}}, "not JSON"),
        ({"card": with_result(accuracy_mean=48.9)}, r"results\[0\]\.accuracy_mean must be a fraction.*48\.9"),
    ],
)
def test_a_set_that_cannot_be_exported_is_refused_by_name(
    make: MAKE, changes: dict[str, Any], named: str
) -> None:
    fields: dict[str, Any] = {"channels": 1, "images_NCHW": IMAGES, "labels_N": LABELS, **changes}
    with pytest.raises(JobError, match=named) as caught:
        make(**fields)
    assert caught.value.code == "invalid_condensed_set"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_a_numerical_error(make: MAKE, value: float) -> None:
    images = IMAGES.copy()
    images[1, 0, 2, 3] = value
    with pytest.raises(JobError, match=r"1 of 2 images .* image 1") as caught:
        make(channels=1, images_NCHW=images, labels_N=LABELS)
    assert caught.value.code == "numerical"


def test_pixels_undo_the_normalisation_of_each_channel(make: MAKE) -> None:
    raw = np.random.default_rng(1).random((5, 3, 4, 4), np.float32)
    mean, std = (0.1, 0.5, 0.9), (0.2, 0.3, 0.4)
    normalised = np.stack([(raw[:, c] - mean[c]) / std[c] for c in range(3)], axis=1).astype(np.float32)
    condensed = make(images_NCHW=normalised, labels_N=np.zeros(5, np.int64), mean=mean, std=std)
    np.testing.assert_allclose(condensed.pixels_NCHW(), raw, atol=1e-6)
    assert condensed.clamped_fraction() == 0
    expected = np.floor(raw * 255 + 0.5).transpose(0, 2, 3, 1)
    assert np.abs(condensed.pixels_uint8_NHWC().astype(int) - expected).max() <= 1e-6


def test_eight_bits_clamp_instead_of_wrapping_round(make: MAKE) -> None:
    values = np.array([-9, 0, 9, 1], np.float32).reshape(1, 1, 2, 2)
    condensed = make(channels=1, images_NCHW=values, labels_N=np.array([0]), mean=(0.0,), std=(1.0,))
    assert condensed.pixels_uint8_NHWC().ravel().tolist() == [0, 0, 255, 255]
    assert condensed.clamped_fraction() == 0.5


def test_provenance_states_what_the_set_says_and_keeps_the_card(condensed: CondensedSet) -> None:
    provenance = condensed.provenance(pixels_normalised=True)
    assert {field: provenance[field] for field in card()} == card()
    tiles = 1 if condensed.collages is None else 9
    assert provenance["images_per_class"] == [tiles * n for n in (2, 2, 2, 2, 2, 2, 0, 2, 2, 2, 2)]
    if condensed.collages is None:
        assert "collages" not in provenance
    else:
        assert provenance["collages"]["stored_per_class"] == [2, 2, 2, 2, 2, 2, 0, 2, 2, 2, 2]
        assert (
            provenance["collages"]["factor"] == 3 and "bilinearly" in provenance["collages"]["how_to_decode"]
        )
    assert provenance["normalisation"] == {"mean": list(condensed.mean), "std": list(condensed.std)}
    assert provenance["pixels_normalised"] is True


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"labels_N": np.array([0, 1], np.int64)}, "stored labels, 9 times over, are not the"),
        ({"factor": 1}, "factor 1"),
        ({"images_NCHW": np.zeros((20, 3, 8, 7), np.float32)}, "their shape is"),
        ({"images_NCHW": np.full((20, 3, 8, 6), np.nan, np.float32)}, "not finite"),
    ],
)
def test_collages_that_the_images_cannot_be_decoded_from_are_refused(
    wrong: dict[str, Any], says: str
) -> None:
    made = build_collages(3)
    assert made.collages is not None
    with pytest.raises(JobError, match=f"not those of its collages: .*{says}"):
        replace(made, collages=replace(made.collages, **wrong))
