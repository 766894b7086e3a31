"""Hard labels, soft ones, and which kind."""

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.errors import DataError

LabelKind: TypeAlias = Literal["hard", "probabilities", "centred", "logits", "absent"]
"""Indices; rows that sum to 1; one-hot less 1/C, as kernel methods use it; any other scores; none."""

Labels: TypeAlias = NDArray[np.int64] | NDArray[np.float32] | None
TOLERANCE = 1e-3


def labels_of(array: NDArray[Any], count: int, where: str) -> tuple[Labels, LabelKind]:
    """int64 (N,) and "hard", or float32 (N, C) and what its rows are.

    Raises:
        DataError: `label_mismatch`, not one label an image, or a float that is no whole number.
    """
    shape = array.shape
    if len(shape) == 2 and shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2) or len(array) != count or array.dtype.kind not in "iufb":
        raise DataError(
            f"the labels of {where} are {array.dtype} of shape {shape}; {count:,} images need {count:,}"
            f" numbers, or {count:,} rows with a score for each class",
            code="label_mismatch",
        )
    if array.ndim == 2:
        scores = np.array(array, np.float32, order="C")
        return scores, kind_of(scores)
    if array.dtype.kind == "f" and not (np.isfinite(array).all() and (array == np.rint(array)).all()):
        raise DataError(
            f"the labels of {where} are {array.dtype} and not all whole numbers, as class indices must be",
            code="label_mismatch",
        )
    return np.array(array, np.int64, order="C"), "hard"


def kind_of(scores_NC: NDArray[np.float32]) -> LabelKind:
    """By the sums of the rows; scores that are not finite are logits."""
    classes = scores_NC.shape[1]
    sums, largest = scores_NC.sum(axis=1), scores_NC.max(axis=1)
    if (scores_NC >= 0).all() and np.allclose(sums, 1, atol=TOLERANCE):
        return "probabilities"
    if np.allclose(sums, 0, atol=TOLERANCE) and np.allclose(largest, 1 - 1 / classes, atol=TOLERANCE):
        return "centred"
    return "logits"


def exact_hard(scores_NC: NDArray[np.float32], kind: LabelKind) -> bool:
    """Whether hard labels say all that these do: one-hot rows, plain or centred."""
    if kind not in ("probabilities", "centred"):
        return False
    shift = 1 / scores_NC.shape[1] if kind == "centred" else 0
    rest_NC = scores_NC + np.float32(shift)
    rest_NC[np.arange(len(rest_NC)), scores_NC.argmax(axis=1)] -= 1
    return bool(np.allclose(rest_NC, 0, atol=TOLERANCE))
