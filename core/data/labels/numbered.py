"""Classes of labels that are whole numbers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.errors import DataError


def label_names(
    labels_N: NDArray[np.int64], names: Sequence[str] | None
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Class names for numeric labels, and the labels as indices into them.

    With `names`, a label is an index into them; without, each distinct value in ascending order is a
    class named by its number.

    Raises:
        DataError: `label_mismatch` for a label without a name, or a name that occurs twice.
    """
    values, indices = np.unique(labels_N, return_inverse=True)
    if names is None:
        return tuple(str(value) for value in values), indices.astype(np.int64)
    if len(values) and not (values[0] >= 0 and values[-1] < len(names)):
        raise DataError(
            f"labels run from {values[0]} to {values[-1]}, but there are {len(names)} class names",
            code="label_mismatch",
        )
    if len(set(names)) != len(names):
        raise DataError("a class name occurs twice", code="label_mismatch")
    return tuple(names), labels_N
