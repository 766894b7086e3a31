"""What is noticed, asked and refused of a set that was read, and the answers that settle it."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.condensed.published.found import Found, found
from core.condensed.published.layouts import ARRAYS, FOLDERS, LIST, OWN, PAIR, RES, TENSOR, Layout
from core.condensed.published.plausibility import check
from core.condensed.published.stated import Facts, Finding, Stated

from .conftest import CLASSES, FACTS, MEAN, STD, TRUE_STD, labels, normalised, pixels

PLAIN = Stated(mean=MEAN, std=STD)
ROOT = Path(__file__).parents[3]


def made(
    images: NDArray[Any] | None = None,
    hard: NDArray[Any] | None = None,
    layout: Layout = PAIR,
    **more: Any,
) -> Found:
    images = normalised(pixels()) if images is None else images
    return found(layout, images, labels() if hard is None else hard, **more)


def codes(
    subject: Found, stated: Stated = PLAIN, facts: Facts = FACTS, severities: str = "refuse ask"
) -> list[str]:
    return [one.code for one in check(subject, stated, facts) if one.severity in severities.split()]


def of(subject: Found, code: str, stated: Stated = PLAIN, facts: Facts = FACTS) -> Finding:
    (finding,) = [one for one in check(subject, stated, facts) if one.code == code]
    return finding


def test_a_plain_set_with_all_stated_has_no_question() -> None:
    assert codes(made()) == []


def test_layouts_and_statements_are_read_without_numpy_and_torch() -> None:
    code = (
        "import sys; from core.condensed.published.layouts import LAYOUTS;"
        "from core.condensed.published.stated import Stated;"
        "print([one for one in ('numpy', 'torch') if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_refusals_come_first_and_questions_before_notes() -> None:
    broken = normalised(pixels())
    broken[3, 0, 0, 0] = np.nan
    found_severities = [one.severity for one in check(made(broken), Stated(), FACTS)]
    assert found_severities == sorted(found_severities, key=["refuse", "ask", "note"].index)
    assert {*found_severities} == {"refuse", "ask", "note"}


# Spaces.


def test_unnormalised_pixels_in_a_normalised_layout_are_asked_about_with_their_numbers() -> None:
    raw = made(pixels(), layout=RES)
    finding = of(raw, "looks_unit")
    assert (finding.severity, finding.answer) == ("ask", "space")
    assert "run from 0 0 0 to 1 1 1" in finding.detail
    for space in ("unit", "normalised"):
        settled = dataclasses.replace(PLAIN, space=space)
        assert "ask" not in {one.severity for one in check(raw, settled, FACTS)}
    assert of(raw, "space_overridden", dataclasses.replace(PLAIN, space="normalised")).severity == "note"


def test_normalised_pixels_where_raw_ones_are_usual() -> None:
    assert "looks_normalised" not in codes(made(normalised(pixels()), layout=LIST))  # by the layout: unit
    assert codes(made(layout=FOLDERS)) == ["looks_normalised"]


def test_bytes_are_known_by_their_type_and_by_their_range() -> None:
    levels = np.rint(pixels() * 255)
    assert made(levels.astype(np.uint8), layout=FOLDERS).space == "bytes"
    assert made((levels / 100).astype(np.uint8), layout=FOLDERS).space == "bytes"
    assert codes(made(levels.astype(np.float32))) == ["looks_bytes"]


def test_kernel_methods_say_not_which_space_they_use() -> None:
    assert codes(made(layout=ARRAYS)) == ["space_open"]
    assert codes(made(layout=ARRAYS), dataclasses.replace(PLAIN, space="normalised")) == []


def test_whitened_images_are_asked_about_and_refused_once_stated() -> None:
    noise = np.random.default_rng(0).normal(size=(10, 3, 16, 16)).astype(np.float32)
    subject = made(noise)
    finding = of(subject, "looks_whitened")
    assert finding.severity == "ask" and "is -0.01 (of real images about .93" in finding.detail
    assert codes(subject, dataclasses.replace(PLAIN, space="normalised")) == []  # noise hardly optimised
    refusal = of(subject, "whitened", dataclasses.replace(PLAIN, space="whitened"))
    assert refusal.severity == "refuse" and "same matrix" in refusal.detail
    assert codes(made(), dataclasses.replace(PLAIN, space="whitened")) == ["whitened"]


def test_grey_digits_are_normalised_by_their_layout() -> None:
    mnist = Facts(classes=CLASSES, channels=1, height=16, width=16, mean=(0.1307,), std=(0.3081,))
    digits = pixels(channels=1) * 0.3  # dark, as digits are; no value far below 0 once normalised
    subject = made(normalised(digits.astype(np.float32), mnist.mean, mnist.std))
    assert min(subject.measured.low) > -0.5 and subject.space == "normalised"
    # MNIST's are the same in all published code, so there is nothing to ask.
    assert codes(subject, Stated(), mnist) == []


# Statistics.


def test_the_statistics_are_asked_for_where_published_code_disagrees() -> None:
    finding = of(made(), "statistics_unstated", Stated())
    assert finding.answer == "mean" and "0.2023" in finding.detail and "0.247" in finding.detail
    assert "statistics_unstated" not in codes(made(), Stated(of_data_set=True))


def test_normalised_twice_is_refused_whatever_is_stated() -> None:
    twice = made(normalised(normalised(pixels())))
    finding = of(twice, "normalised_twice")
    assert finding.severity == "refuse" and "-2.429" in finding.detail
    assert "normalised_twice" in codes(twice, dataclasses.replace(PLAIN, space="normalised"))
    assert "normalised_twice" not in codes(made())


@pytest.mark.parametrize(
    ("mean", "std"),
    [((0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762)), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))],
    ids=["CIFAR-100", "ImageNet"],
)
def test_another_sets_statistics_show_at_the_ends_of_real_images(
    mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    other = made(normalised(pixels(), mean, std))
    finding = of(other, "another_sets_statistics", Stated(of_data_set=True))
    assert finding.severity == "ask" and f"{std[0]}" in finding.detail
    assert of(other, "another_sets_statistics", PLAIN).severity == "note", (
        "stated with numbers: the caller's word"
    )
    assert "another_sets_statistics" not in codes(other, Stated(mean=mean, std=std), severities="ask note")


def test_means_that_lie_far_off_are_asked_about() -> None:
    dark = made(normalised(pixels() * 0.5))
    finding = of(dark, "means_far", Stated(of_data_set=True))
    assert (finding.severity, finding.answer) == ("ask", "mean")
    assert "means_far" not in codes(made(), Stated(of_data_set=True))


@pytest.mark.parametrize(
    "stated",
    [
        Stated(mean=MEAN), Stated(mean=MEAN[:1], std=STD[:1]), Stated(mean=MEAN, std=(0.2, 0.0, 0.2)),
        Stated(mean=MEAN, std=STD, of_data_set=True), Stated(mean=(float("nan"),) * 3, std=STD),
    ],
)  # fmt: skip
def test_statistics_that_are_none(stated: Stated) -> None:
    assert "invalid_statistics" in codes(made(), stated)


# Collages.


def collage(factor: int, side: int = 32) -> NDArray[np.float32]:
    tiles = pixels(10 * factor * factor, side=-(-side // factor))
    tall = tiles.shape[2]
    joined = tiles.reshape(10, factor, factor, 3, tall, tall).transpose(0, 3, 1, 4, 2, 5)
    return np.ascontiguousarray(joined.reshape(10, 3, factor * tall, factor * tall)[:, :, :side, :side])


@pytest.mark.parametrize("factor", [2, 3])
def test_seams_show_an_undecoded_collage_and_its_factor(factor: int) -> None:
    facts = dataclasses.replace(FACTS, height=32, width=32)
    subject = made(normalised(collage(factor)))
    finding = of(subject, "undecoded_collage", facts=facts)
    assert finding.answer == "factor" and f"{factor} × {factor} tiles" in finding.detail
    assert "(plain images: about 1). State factor" in finding.detail
    assert f"for f = {factor}" in finding.detail, "how deep the seams are"
    settled = dataclasses.replace(PLAIN, factor=factor)
    assert codes(subject, settled, facts) == []


def test_idcs_layout_is_asked_for_its_factor_even_without_seams() -> None:
    finding = of(made(pixels(), layout=LIST), "undecoded_collage")
    assert finding.severity == "ask" and "f = 2" in finding.detail
    assert codes(made(pixels(), layout=LIST), dataclasses.replace(PLAIN, factor=1)) == []


def test_a_factor_that_is_none() -> None:
    for factor in (0, -1, 9, 17):
        assert "invalid_factor" in codes(made(), dataclasses.replace(PLAIN, factor=factor))


# Labels and classes.


def test_absent_labels_are_asked_for_or_cannot_be() -> None:
    subject = found(TENSOR, normalised(pixels()), None)
    finding = of(subject, "labels_absent")
    assert (finding.severity, finding.answer) == ("ask", "labels") and "2 of each of the 5" in finding.detail
    assert codes(subject, dataclasses.replace(PLAIN, labels="class-major")) == []
    uneven = found(TENSOR, normalised(pixels(9)), None)
    assert of(uneven, "labels_absent", dataclasses.replace(PLAIN, labels="class-major")).severity == "refuse"


@pytest.mark.parametrize("shift", [0.0, 0.2], ids=["one-hot", "centred"])
def test_one_hot_labels_are_hard_ones(shift: float) -> None:
    assert codes(made(hard=(np.eye(5)[labels()] - shift).astype(np.float32))) == []


@pytest.mark.parametrize("kind", ["probabilities", "logits"])
def test_soft_labels_are_not_cut_silently(kind: str) -> None:
    scores = np.random.default_rng(0).normal(size=(10, 5)).astype(np.float32)
    scores[np.arange(10), labels()] += 9
    if kind == "probabilities":
        scores = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    subject = made(hard=scores)
    assert subject.label_kind == kind
    finding = of(subject, "soft_labels")
    assert (finding.severity, finding.answer) == ("ask", "labels")
    assert of(subject, "soft_labels", dataclasses.replace(PLAIN, labels="argmax")).severity == "note"


def test_labels_outside_empty_classes_and_another_number_of_classes_are_refused() -> None:
    assert codes(made(hard=labels() + 1)) == ["labels_outside"]
    assert codes(made(hard=labels() - 1)) == ["labels_outside"]
    assert codes(made(hard=np.zeros(10, np.int64))) == ["empty_class"]
    assert codes(made(hard=np.eye(10, dtype=np.float32))) == ["class_count_mismatch"]
    nan = np.eye(5, dtype=np.float32)[labels()]
    nan[0, 0] = np.nan
    assert "not_finite" in codes(made(hard=nan))


def test_an_empty_class_of_ours_is_only_noted() -> None:
    own = made(hard=np.zeros(10, np.int64), layout=OWN, classes=CLASSES, mean=MEAN, std=STD)
    assert codes(own, Stated()) == [] and of(own, "empty_class", Stated()).severity == "note"


def test_class_names_in_another_order_are_asked_about_with_the_permutation() -> None:
    order = ("bird", "airplane", "automobile", "cat", "deer")
    finding = of(made(classes=order), "class_order")
    assert (finding.severity, finding.answer) == (
        "ask",
        "class_order",
    ) and "[2, 0, 1, 3, 4]" in finding.detail
    settled = dataclasses.replace(PLAIN, class_order=(2, 0, 1, 3, 4))
    assert codes(made(classes=order), settled) == []
    assert codes(made(classes=CLASSES)) == []
    assert codes(made(classes=("a", "b", "c", "d", "e"))) == ["class_order"]
    assert codes(made(classes=("a", "b"))) == ["class_count_mismatch"]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 1, 2, 3, 3), (1, 2, 3, 4, 5)])
def test_an_order_that_is_no_permutation(order: tuple[int, ...]) -> None:
    assert codes(made(), dataclasses.replace(PLAIN, class_order=order)) == ["invalid_class_order"]


def test_several_experiments_are_asked_about() -> None:
    several = made(layout=RES, experiments=5, experiment=4)
    finding = of(several, "experiments")
    assert (finding.severity, finding.answer) == ("ask", "experiment") and "0 to 4" in finding.detail
    assert codes(several, dataclasses.replace(PLAIN, experiment=4)) == []
    assert codes(several, dataclasses.replace(PLAIN, experiment=3)) == ["invalid_experiment"]


# Numbers and shapes.


def test_values_that_are_not_finite_are_refused_and_counted() -> None:
    images = normalised(pixels())
    images[3, 0, 0, 0], images[7, 1, 2, 3] = np.nan, np.inf
    finding = of(made(images), "not_finite")
    assert finding.severity == "refuse" and "2 of 10 images" in finding.detail
    assert "not_finite" in codes(made(np.full_like(images, np.nan)))


@pytest.mark.parametrize(
    "change", [{"channels": 1, "mean": (0.1,), "std": (0.3,)}, {"height": 28, "width": 28}]
)
def test_another_shape_than_the_data_sets_is_refused(change: dict[str, Any]) -> None:
    facts = dataclasses.replace(FACTS, **change)
    assert "shape_mismatch" in codes(made(), Stated(of_data_set=True), facts)


def test_duplicates_are_counted() -> None:
    images = normalised(pixels())
    images[4] = images[5] = images[1]
    assert "2 of 10" in of(made(images), "duplicates").detail
    assert "duplicates" not in codes(made(), severities="note")


def test_what_was_dropped_and_done_is_said() -> None:
    subject = made(pixels().astype(np.float64), layout=LIST, dropped=("accs_all_exps",))
    details = [one.detail for one in check(subject, PLAIN, FACTS) if one.severity == "note"]
    assert any("accs_all_exps" in one for one in details) and any("float64" in one for one in details)


def test_our_own_need_no_answer() -> None:
    own = made(layout=OWN, classes=CLASSES, mean=MEAN, std=TRUE_STD)
    assert codes(own, Stated()) == []
