"""Which rows train and which test."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.data.limits import Limits, check_limit
from core.data.source import SPLIT_NAMES, TEST, TRAIN, VAL, Source
from core.errors import DataError

HELD_OUT = 0.15


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """Rows of the source for each split, and the classes that they may have.

    Attributes:
        classes: those of the source with at least one training image, in the source's order.
        train_rows, test_rows: ascending rows of the source.
        new_label: from the source's label to the index in classes, -1 for a class left out.
        rule: the sentence for the manifest.
        left_out: images per reason that are in neither split.
    """

    classes: tuple[str, ...]
    train_rows: NDArray[np.int64]
    test_rows: NDArray[np.int64]
    new_label: NDArray[np.int64]
    rule: str
    left_out: dict[str, int]


def assign(source: Source, *, seed: int, limits: Limits) -> Assignment:
    """Choose train and test rows.

    The test split is `test`, else `val`; a `val` beside a `test` is left out (training on it would
    spoil a comparison with published figures). With neither, 15 % of each class are held out by a
    seeded draw: at least one image of every class that has two. Classes without a training image
    cannot be condensed: their test images are left out and counted.

    Raises:
        DataError: `no_images`, `no_training_split`, `too_few_classes` or `limit_exceeded`.
    """
    if not len(source.labels_N):
        skipped = source.skipped
        reasons = "; ".join(f"{count:,} × {reason}" for reason, count in skipped.by_reason.most_common(5))
        raise DataError(
            f"no image with a label can be read: {reasons}" if reasons else "the set holds no images",
            code="no_images",
            skipped=skipped.total,
            first_skipped=skipped.first[:10],
        )
    in_train = source.splits_N == TRAIN
    if not in_train.any():
        found = ", ".join(SPLIT_NAMES[split] for split in np.unique(source.splits_N))
        raise DataError(f"there is no training split, only {found}", code="no_training_split", found=found)
    counts = np.bincount(source.labels_N[in_train], minlength=len(source.classes))
    kept = np.flatnonzero(counts)
    if len(kept) < 2:
        only = source.classes[int(kept[0])]
        raise DataError(
            f"all training images are of one class, {only!r}; at least 2 classes are needed",
            code="too_few_classes",
            classes=[only],
            limit=2,
        )
    check_limit("classes", len(kept), limits.classes)
    new_label = np.full(len(source.classes), -1, np.int64)
    new_label[kept] = np.arange(len(kept))

    known = new_label[source.labels_N] >= 0
    train_rows = np.flatnonzero(in_train)
    chosen = next((split for split in (TEST, VAL) if (known & (source.splits_N == split)).any()), None)
    left_out = {}
    if unknown := int((~known).sum()):
        left_out["of a class without training images"] = unknown
    if chosen == TEST and (unused := int((known & (source.splits_N == VAL)).sum())):
        left_out["in the validation split, unused because there is a test split"] = unused
    if chosen is not None:
        test_rows = np.flatnonzero(known & (source.splits_N == chosen))
        rule = f"the set's own splits: train, and {SPLIT_NAMES[chosen]} as test"
    else:
        held_out = _held_out(source.labels_N[train_rows], seed)
        train_rows, test_rows = train_rows[~held_out], train_rows[held_out]
        rule = f"no test split in the set: {HELD_OUT:.0%} of each class held out, drawn with seed {seed}"
    return Assignment(
        classes=tuple(source.classes[label] for label in kept),
        train_rows=train_rows,
        test_rows=test_rows,
        new_label=new_label,
        rule=rule,
        left_out=left_out,
    )


def _held_out(labels_N: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    held_out = np.zeros(len(labels_N), np.bool_)
    by_label = np.argsort(labels_N, kind="stable")
    for rows in np.split(by_label, np.flatnonzero(np.diff(labels_N[by_label])) + 1):
        count = max(1, round(HELD_OUT * len(rows))) if len(rows) >= 2 else 0
        draw = np.random.default_rng([seed, int(labels_N[rows[0]])]).random(len(rows))
        held_out[rows[np.argsort(draw, kind="stable")[:count]]] = True
    return held_out
