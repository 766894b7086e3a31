"""The validation report: what is in a set, what is odd about it, what to do with it. It refuses nothing."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.advice import LOST_BY_COLLAGES, MIN_COLLAGE_SIZE
from core.data.canonical.sizing import SUGGESTED, Sizing
from core.data.canonical.split_writer import SplitFacts
from core.data.canonical.splits import Assignment
from core.data.source import SkippedFiles

NAMED = 20
"""Classes, or pairs of images, that an entry of the report names; of more it says how many there are."""

IMBALANCED = 10
"""From this ratio of the largest to the smallest class on, the report warns."""

FEW_IMAGES = 10
USUAL_IPC = (1, 5, 10, 20, 50, 100, 200, 500, 1000)
FLIP = "color_crop_cutout_flip_scale_rotate"
NO_FLIP = "color_crop_cutout_scale_rotate"


def describe(
    *,
    sizes_N2: NDArray[np.int32],
    sizing: Sizing,
    skipped: SkippedFiles,
    assignment: Assignment,
    train: SplitFacts,
    test: SplitFacts,
    lost: float,
) -> dict[str, Any]:
    """The report as plain JSON.

    Args:
        sizes_N2: height and width of every image of the source.
        assignment: which of them are in the splits, and of which classes.
        lost: share of what images show that a collage of 2 × 2 would lose (core/data/canonical/detail.py).

    Returns:
        `sizes`, `skipped`, `left_out`, `duplicates`, `imbalance_ratio`, `warnings` ([{code, detail}], the
        gravest first) and `suggestions`.
    """
    classes = assignment.classes
    counts = np.bincount(train.labels_N, minlength=len(classes))
    test_counts = np.bincount(test.labels_N, minlength=len(classes))
    sizes = _sizes(sizes_N2, sizing)
    duplicates = _duplicates(train, test)
    ratio = float(counts.max() / counts.min())
    return {
        "sizes": sizes,
        "skipped": {
            "total": skipped.total,
            "by_reason": dict(skipped.by_reason),
            "first": skipped.first,
        },
        "left_out": assignment.left_out,
        "duplicates": duplicates,
        "imbalance_ratio": round(ratio, 4),
        "warnings": [
            *_duplicate_warnings(duplicates, len(test.labels_N)),
            *_class_warnings(classes, counts, test_counts, ratio),
            *_source_warnings(sizes, sizing, skipped, assignment),
        ],
        "suggestions": {
            "image_size": sizing.suggested,
            "ipc": sensible_ipc(counts),
            "form": {"lost_by_collages": round(lost, 4), "choose": _form(lost, sizing.image_size)},
            "augment": {
                "mirror_images_keep_their_class": FLIP,
                "mirror_images_change_their_class": NO_FLIP,
                "choose": "Nobody but you knows: photographs keep their class in a mirror; digits, letters, "
                "signs and left or right hands do not.",
            },
        },
    }


def sensible_ipc(counts: NDArray[np.int64]) -> list[int]:
    """Of the usual values those that condense: at most a tenth of the median class, and always 1."""
    most = float(np.median(counts)) / 10
    return [ipc for ipc in USUAL_IPC if ipc == 1 or ipc <= most]


def _form(lost: float, image_size: int) -> str:
    """Whether collages suit the images, in words."""
    says = f"A collage of 2 × 2 keeps {1 - lost:.0%} of what these images show"
    if image_size < MIN_COLLAGE_SIZE:
        return (
            f"{says}, but of {image_size} px four in the place of one are small: pixels, unless you try both."
        )
    if lost > LOST_BY_COLLAGES:
        return f"{says}: it may pay for few images a class, and is likely to hurt for many."
    return f"{says}: it is likely to pay."


def _sizes(sizes_N2: NDArray[np.int32], sizing: Sizing) -> dict[str, Any]:
    shapes, images = np.unique(sizes_N2, axis=0, return_counts=True)
    commonest = np.argsort(-images, kind="stable")[:NAMED]
    shorter = sizes_N2.min(axis=1)
    return {
        "distinct": len(shapes),
        "most_common": [
            {"height": int(shapes[i, 0]), "width": int(shapes[i, 1]), "images": int(images[i])}
            for i in commonest
        ],
        "shorter_side": {
            "min": int(shorter.min()),
            "median": float(np.median(shorter)),
            "max": int(shorter.max()),
        },
        "not_square": int((sizes_N2[:, 0] != sizes_N2[:, 1]).sum()),
        "enlarged": int((shorter < sizing.image_size).sum()),
    }


def _duplicates(train: SplitFacts, test: SplitFacts) -> dict[str, Any]:
    """Images of the canonical form, counted by row, so that a reader of the arrays can look them up."""
    known, first_row, of_known, images = np.unique(
        train.digests_N, return_index=True, return_inverse=True, return_counts=True
    )
    # Equal pixels under different labels: no network can learn both.
    lowest = np.full(len(known), np.iinfo(np.int64).max)
    highest = np.full(len(known), -1)
    np.minimum.at(lowest, of_known, train.labels_N)
    np.maximum.at(highest, of_known, train.labels_N)
    leaked = np.flatnonzero(np.isin(test.digests_N, known))
    at = np.searchsorted(known, test.digests_N[leaked])
    agree = (lowest[at] == test.labels_N[leaked]) & (highest[at] == test.labels_N[leaked])
    return {
        "train": len(train.digests_N) - len(known),
        "test": len(test.digests_N) - len(np.unique(test.digests_N)),
        "test_also_in_train": len(leaked),
        "train_with_other_label": int(images[lowest != highest].sum()),
        "test_in_train_with_other_label": int((~agree).sum()),
        "first_leaked": [
            {"test_row": int(row), "train_row": int(first_row[i])}
            for row, i in zip(leaked[:NAMED], at[:NAMED], strict=True)
        ],
    }


def _warning(code: str, detail: str) -> dict[str, str]:
    return {"code": code, "detail": detail}


def _duplicate_warnings(duplicates: dict[str, Any], tested: int) -> list[dict[str, str]]:
    found = []
    if leaked := duplicates["test_also_in_train"]:
        found.append(
            _warning(
                "test_leakage",
                f"{leaked:,} of {tested:,} test images ({leaked / tested:.1%}) are in the training split, "
                f"pixel by pixel, {duplicates['test_in_train_with_other_label']:,} under another label: "
                "accuracies on this test split say little",
            )
        )
    if conflicting := duplicates["train_with_other_label"]:
        found.append(
            _warning(
                "conflicting_labels",
                f"{conflicting:,} training images have a twin, equal pixel by pixel, of another class",
            )
        )
    if repeated := duplicates["train"]:
        found.append(_warning("duplicates", f"{repeated:,} training images repeat another one"))
    return found


def _class_warnings(
    classes: Sequence[str], counts: NDArray[np.int64], test_counts: NDArray[np.int64], ratio: float
) -> list[dict[str, str]]:
    found = []
    if untested := np.flatnonzero(test_counts == 0).tolist():
        found.append(
            _warning("untested_classes", f"{_named(classes, untested)} without a test image: not evaluated")
        )
    if ratio >= IMBALANCED:
        largest, smallest = int(counts.argmax()), int(counts.argmin())
        found.append(
            _warning(
                "imbalanced",
                f"the largest class, {classes[largest]!r}, has {counts[largest]:,} training images, the "
                f"smallest, {classes[smallest]!r}, {counts[smallest]:,}: {ratio:.1f} times fewer",
            )
        )
    if few := np.flatnonzero(counts < FEW_IMAGES).tolist():
        found.append(
            _warning(
                "small_classes",
                f"{_named(classes, few)} with fewer than {FEW_IMAGES} training images: they are repeated to "
                "fill a batch",
            )
        )
    return found


def _source_warnings(
    sizes: dict[str, Any], sizing: Sizing, skipped: SkippedFiles, assignment: Assignment
) -> list[dict[str, str]]:
    found = []
    if skipped.total:
        reason, files = skipped.by_reason.most_common(1)[0]
        found.append(
            _warning("skipped_files", f"files skipped: {skipped.total:,}, of them {files:,}: {reason}")
        )
    for reason, images in assignment.left_out.items():
        found.append(_warning("left_out", f"{images:,} images left out: {reason}"))
    if enlarged := sizes["enlarged"]:
        found.append(
            _warning(
                "enlarged",
                f"{enlarged:,} images are smaller than {sizing.image_size} px and were enlarged: that costs "
                "time and adds nothing",
            )
        )
    if cropped := sizes["not_square"]:
        found.append(
            _warning(
                "cropped", f"{cropped:,} images are not square: only their largest centred square is kept"
            )
        )
    if sizing.image_size > max(SUGGESTED) and sizing.origin != "requested":
        found.append(
            _warning(
                "large_images",
                f"images keep their own {sizing.image_size} px; condensing costs "
                f"{(sizing.image_size / sizing.suggested) ** 2:.0f} times what {sizing.suggested} px would",
            )
        )
    return found


def _named(classes: Sequence[str], labels: list[int]) -> str:
    names = ", ".join(repr(classes[label]) for label in labels[:NAMED])
    more = f" and {len(labels) - NAMED:,} more" if len(labels) > NAMED else ""
    return f"{len(labels):,} {'class' if len(labels) == 1 else 'classes'} ({names}{more})"
