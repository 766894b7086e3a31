"""From what was found and stated to arrays in normalised space."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from core.condensed.published.found import found
from core.condensed.published.layouts import FOLDERS, LIST, OWN, PAIR, TENSOR
from core.condensed.published.limits import PublishedLimits
from core.condensed.published.ready import to_arrays
from core.condensed.published.stated import Stated
from core.errors import DataError
from core.export.condensed import CondensedSet
from tests.unit.export.conftest import card

from .conftest import CLASSES, FACTS, LIMITS, MEAN, STD, TRUE_STD, labels, normalised, pixels, same

PLAIN = Stated(mean=MEAN, std=STD)


def published_decode(
    images: torch.Tensor, targets: torch.Tensor, factor: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The formula of IDC's `decode_zoom` (condense.py), in its own order."""
    side = images.shape[-1]
    rest = side % factor
    if rest:
        images = torch.nn.functional.pad(images, (0, factor - rest, 0, factor - rest), value=0.5)
    crop = -(-side // factor)
    tiles = [
        images[:, :, i * crop : (i + 1) * crop, j * crop : (j + 1) * crop]
        for i in range(factor)
        for j in range(factor)
    ]
    large = torch.nn.functional.interpolate(torch.cat(tiles), size=side, mode="bilinear")
    return large, torch.cat([targets] * factor**2)


def test_normalised_pixels_keep_their_bits() -> None:
    images = normalised(pixels())
    ready = to_arrays(found(PAIR, images, labels()), PLAIN, FACTS, LIMITS)
    assert same(ready.images_NCHW, images) and same(ready.labels_N, labels())
    assert (ready.mean, ready.std, ready.classes, ready.collages) == (MEAN, STD, CLASSES, None)


@pytest.mark.parametrize(("layout", "scale"), [(LIST, 1), (FOLDERS, 255)])
def test_raw_pixels_and_bytes_are_normalised_by_the_data_sets_or_the_stated_statistics(
    layout: Any, scale: int
) -> None:
    raw = pixels()
    images: NDArray[Any] = raw if scale == 1 else np.rint(raw * 255).astype(np.uint8)
    expected = normalised(images.astype(np.float32) / np.float32(scale), MEAN, TRUE_STD)
    ready = to_arrays(found(layout, images, labels()), Stated(factor=1), FACTS, LIMITS)
    assert ready.std == TRUE_STD
    np.testing.assert_allclose(ready.images_NCHW, expected, atol=1e-6)
    other = to_arrays(found(layout, images, labels()), dataclasses.replace(PLAIN, factor=1), FACTS, LIMITS)
    assert other.std == STD and not np.allclose(other.images_NCHW, expected, atol=1e-3)


@pytest.mark.parametrize(("factor", "side"), [(2, 16), (3, 16), (2, 9)])
def test_collages_are_decoded_as_published_code_does(factor: int, side: int) -> None:
    raw, hard = pixels(side=side), labels()
    facts = dataclasses.replace(FACTS, height=side, width=side)
    ready = to_arrays(found(LIST, raw, hard), dataclasses.replace(PLAIN, factor=factor), facts, LIMITS)
    expected, targets = published_decode(torch.tensor(raw), torch.tensor(hard), factor)
    np.testing.assert_allclose(ready.images_NCHW, normalised(expected.numpy()), atol=1e-5)
    assert ready.labels_N.tolist() == targets.tolist()
    assert ready.collages is not None and ready.collages.factor == factor
    np.testing.assert_allclose(ready.collages.images_NCHW, normalised(raw), atol=1e-6)


def test_a_collage_of_raw_pixels_and_the_same_normalised_are_one_set() -> None:
    facts = dataclasses.replace(FACTS, height=17, width=17)
    raw = pixels(side=17)
    stated = dataclasses.replace(PLAIN, factor=2)
    one = to_arrays(found(LIST, raw, labels()), stated, facts, LIMITS)
    two = to_arrays(found(PAIR, normalised(raw), labels()), stated, facts, LIMITS)
    np.testing.assert_allclose(one.images_NCHW, two.images_NCHW, atol=2e-5)
    assert one.labels_N.tolist() == np.tile(labels(), 4).tolist()
    assert (one.stored, len(one.images_NCHW)) == (10, 40)


def test_a_decoded_set_is_held_against_the_limits_too() -> None:
    limits = PublishedLimits(values=4 * 10 * 3 * 16 * 16 - 1)
    with pytest.raises(DataError, match="decoded set") as caught:
        to_arrays(found(LIST, pixels(), labels()), dataclasses.replace(PLAIN, factor=2), FACTS, limits)
    assert caught.value.code == "limit_exceeded"


def test_labels_of_every_kind_become_hard_ones() -> None:
    images, one_hot = normalised(pixels()), np.eye(5, dtype=np.float32)[labels()]
    for given, stated in (
        (one_hot, PLAIN),
        (one_hot - np.float32(0.2), PLAIN),
        (one_hot * 3 + 1, dataclasses.replace(PLAIN, labels="argmax")),
        (labels().astype(np.float32), PLAIN),
        (None, dataclasses.replace(PLAIN, labels="class-major")),
    ):
        ready = to_arrays(found(PAIR if given is not None else TENSOR, images, given), stated, FACTS, LIMITS)
        assert same(ready.labels_N, labels())


def test_a_stated_order_of_classes_is_followed() -> None:
    order = (2, 0, 1, 3, 4)
    ready = to_arrays(
        found(PAIR, normalised(pixels()), labels()),
        dataclasses.replace(PLAIN, class_order=order),
        FACTS,
        LIMITS,
    )
    assert ready.labels_N.tolist() == [2, 2, 0, 0, 1, 1, 3, 3, 4, 4]


def test_ours_keep_their_own_statistics() -> None:
    own = found(OWN, normalised(pixels()), labels(), classes=CLASSES, mean=MEAN, std=STD)
    assert to_arrays(own, Stated(), FACTS, LIMITS).std == STD


def test_it_is_a_condensed_set() -> None:
    ready = to_arrays(found(PAIR, normalised(pixels()), labels()), PLAIN, FACTS, LIMITS)
    condensed = CondensedSet(
        images_NCHW=ready.images_NCHW, labels_N=ready.labels_N, classes=ready.classes, mean=ready.mean,
        std=ready.std, card=card(),
    )  # fmt: skip
    assert condensed.images_per_class == (2,) * 5


def test_open_questions_are_refused_together_and_a_refusal_goes_before_them() -> None:
    with pytest.raises(DataError) as caught:
        to_arrays(found(LIST, normalised(pixels()), labels() - 1), Stated(), FACTS, LIMITS)
    assert caught.value.code == "labels_outside"
    with pytest.raises(DataError) as caught:
        to_arrays(found(TENSOR, normalised(pixels()), None), Stated(), FACTS, LIMITS)
    error = caught.value
    asked = {one["answer"] for one in error.context["findings"] if one["severity"] == "ask"}
    assert error.code == "questions_open" and asked == {"labels", "mean"}
    assert "class-major" in error.detail and "of_data_set" in error.detail
