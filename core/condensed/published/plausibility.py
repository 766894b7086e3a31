"""Whether a published set can be what it is taken for: findings to refuse, to ask about, or to note.

Nothing is corrected here: what a file does not say is asked, with the numbers that speak for an answer.
"""

import hashlib
from collections.abc import Iterator

import numpy as np

from core.condensed.published.found import Found
from core.condensed.published.labels import exact_hard
from core.condensed.published.layouts import OWN
from core.condensed.published.limits import MOST_FACTOR
from core.condensed.published.pixel_checks import check_pixels
from core.condensed.published.stated import Facts, Finding, Stated


def check(found: Found, stated: Stated, facts: Facts) -> tuple[Finding, ...]:
    """All findings, refusals first, then questions.

    Args:
        stated: what the caller says; it settles questions.
        facts: of the data set that the set is to be held against.
    """
    statement = tuple(_statement(found, stated, facts))
    comparable = found.images_NCHW.shape[1] == facts.channels and not statement
    findings = [
        *_numbers(found),
        *statement,
        *_shape(found, stated, facts),
        *_labels(found, stated, facts),
        *_classes(found, stated, facts),
        *_experiment(found, stated),
        *(check_pixels(found, stated, facts) if comparable else ()),
        *_duplicates(found),
        *(Finding(severity="note", code="read", detail=note) for note in found.notes),
    ]
    if found.dropped:
        detail = f"Not kept of the file: {', '.join(found.dropped[:20])}."
        findings.append(Finding(severity="note", code="dropped", detail=detail))
    order = {"refuse": 0, "ask": 1, "note": 2}
    return tuple(sorted(findings, key=lambda one: order[one.severity]))


def _numbers(found: Found) -> Iterator[Finding]:
    count = len(found.images_NCHW)
    if broken := found.measured.broken:
        yield _refuse("not_finite", f"{broken} of {count:,} images hold NaN or infinite values.")
    if found.labels is not None and not np.isfinite(found.labels).all():
        yield _refuse("not_finite", "The labels hold NaN or infinite values.")


def _statement(found: Found, stated: Stated, facts: Facts) -> Iterator[Finding]:
    """What cannot be served of the statement itself."""
    for name, values in (("mean", stated.mean), ("std", stated.std)):
        if values is None:
            continue
        if len(values) != facts.channels or not np.isfinite(values).all():
            yield _refuse(
                "invalid_statistics",
                f"{name} has {len(values)} values; it needs {facts.channels} finite ones, one per channel.",
            )
    if (stated.mean is None) != (stated.std is None):
        yield _refuse("invalid_statistics", "State both mean and std, or neither.")
    elif stated.std is not None and min(stated.std, default=0) <= 0:
        yield _refuse("invalid_statistics", "Every std must be above 0.")
    if stated.mean is not None and stated.of_data_set:
        yield _refuse("invalid_statistics", "State mean and std, or of_data_set: not both.")
    side = min(found.images_NCHW.shape[2:])
    most = min(MOST_FACTOR, side)
    if stated.factor is not None and not 1 <= stated.factor <= most:
        yield _refuse("invalid_factor", f"factor is {stated.factor}; it must be 1 to {most}.")


def _shape(found: Found, stated: Stated, facts: Facts) -> Iterator[Finding]:
    shape, wanted = found.images_NCHW.shape[1:], (facts.channels, facts.height, facts.width)
    if shape != wanted:
        yield _refuse(
            "shape_mismatch",
            f"The images are {_by(shape)} (channels × height × width), those of the data set {_by(wanted)}:"
            " the set was made of other data, or of the data in another size.",
        )


def _labels(found: Found, stated: Stated, facts: Facts) -> Iterator[Finding]:
    count, classes = len(found.images_NCHW), len(facts.classes)
    if found.labels is None:
        if count % classes:
            yield _refuse(
                "labels_absent",
                f"The file holds no labels, and its {count:,} images cannot be divided equally among"
                f" {classes:,} classes.",
            )
        elif stated.labels != "class-major":
            yield _ask(
                "labels_absent", "labels",
                f'The file holds no labels. If its {count:,} images are {count // classes:,} of each of the'
                f' {classes:,} classes, class after class, state labels as "class-major".',
            )  # fmt: skip
        return
    if found.labels.ndim == 2:
        columns = found.labels.shape[1]
        if columns != classes:
            yield _class_count(columns, classes)
            return
        if not exact_hard(np.asarray(found.labels, np.float32), found.label_kind):
            what = "learned or a teacher's" if found.label_kind == "logits" else "not one class each"
            if stated.labels != "argmax":
                yield _ask(
                    "soft_labels", "labels",
                    f"The labels are {found.label_kind}, {what}. The evaluation trains on hard labels: state"
                    ' labels as "argmax" to take each row\'s largest. The result is no longer the published'
                    " set, and its accuracy differs.",
                )  # fmt: skip
            else:
                yield _note("soft_labels", f"The labels are {found.label_kind}; each row's largest is taken.")
        labels_N = found.labels.argmax(axis=1)
    else:
        labels_N = found.labels
    low, high = int(labels_N.min()), int(labels_N.max())
    if low < 0 or high >= classes:
        yield _refuse(
            "labels_outside",
            f"Labels run from {low} to {high}; the data set has {classes:,} classes, 0 to {classes - 1}.",
        )
        return
    per_class = np.bincount(labels_N, minlength=classes)
    empty = np.flatnonzero(per_class == 0)
    if len(empty):
        shown = ", ".join(map(str, empty[:10]))
        detail = f"{len(empty)} of {classes:,} classes have no image: {shown}."
        # Ours may: a class of a data set can be empty of training images, and sets are joined by classes.
        yield _note("empty_class", detail) if found.layout is OWN else _refuse("empty_class", detail)
    if len({*per_class[per_class > 0].tolist()}) > 1:
        yield _note(
            "unequal_classes", f"A class has {per_class.min()} to {per_class.max()} images, not equally many."
        )


def _classes(found: Found, stated: Stated, facts: Facts) -> Iterator[Finding]:
    classes = len(facts.classes)
    if stated.class_order is not None:
        if sorted(stated.class_order) != list(range(classes)):
            yield _refuse(
                "invalid_class_order",
                f"class_order must name each of 0 to {classes - 1} once, for {classes:,} classes.",
            )
        return
    if found.classes is None:
        first = ", ".join(f"{number} is {name!r}" for number, name in enumerate(facts.classes[:3]))
        yield _note("class_order", f"Labels are taken as the data set numbers its classes: {first}, …")
    elif len(found.classes) != classes:
        yield _class_count(len(found.classes), classes)
    elif found.classes != facts.classes:
        number = next(n for n in range(classes) if found.classes[n] != facts.classes[n])
        theirs, ours = found.classes[number], facts.classes[number]
        yield _ask(
            "class_order", "class_order",
            f"The file and the data set name classes differently: {number} is {theirs!r} there and"
            f" {ours!r} here."
            f" {_permutation(found.classes, facts.classes)}",
        )  # fmt: skip


def _permutation(theirs: tuple[str, ...], ours: tuple[str, ...]) -> str:
    if sorted(theirs) != sorted(ours):
        return "State class_order: for each class of the file, the index of the data set's."
    place = {name: number for number, name in enumerate(ours)}
    order = [place[name] for name in theirs]
    shown = f"{order}" if len(order) <= 100 else f"{str(order[:100])[:-1]}, …]"
    return f"The names are the same in another order; by name, class_order is {shown}."


def _experiment(found: Found, stated: Stated) -> Iterator[Finding]:
    if found.experiments > 1 and stated.experiment is None:
        yield _ask(
            "experiments", "experiment",
            f"The file holds {found.experiments} sets of separate experiments: state experiment, 0 to"
            f" {found.experiments - 1}. Published evaluators take the last, which is the newest and not"
            " the best.",
        )  # fmt: skip
    elif stated.experiment is not None and stated.experiment != found.experiment:
        yield _refuse(
            "invalid_experiment",
            f"experiment {stated.experiment} is stated, but experiment {found.experiment} of"
            f" {found.experiments} was read from the file.",
        )


def _duplicates(found: Found) -> Iterator[Finding]:
    digests = {hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in found.images_NCHW}
    twice = len(found.images_NCHW) - len(digests)
    if twice:
        yield _note(
            "duplicates", f"{twice:,} of {len(found.images_NCHW):,} images equal an earlier one bit by bit."
        )


def _class_count(theirs: int, ours: int) -> Finding:
    return _refuse("class_count_mismatch", f"The file has {theirs:,} classes, the data set {ours:,}.")


def _by(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _refuse(code: str, detail: str) -> Finding:
    return Finding(severity="refuse", code=code, detail=detail)


def _ask(code: str, answer: str, detail: str) -> Finding:
    return Finding(severity="ask", code=code, detail=detail, answer=answer)


def _note(code: str, detail: str) -> Finding:
    return Finding(severity="note", code=code, detail=detail)
