"""Class names as users write them: checked, and put in order."""

import re
import unicodedata
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from core.data.limits import Limits, check_limit
from core.errors import DataError

WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")


def class_name(raw: str, *, member: str, limits: Limits) -> str:
    """The name in NFC, without space around it; "" if nothing else is in it.

    Raises:
        DataError: `unsafe_class_name` for control characters or half a surrogate pair, or
            `limit_exceeded` for more than `name_bytes`.
    """
    name = unicodedata.normalize("NFC", raw.strip())
    if any(ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) <= 0xDFFF for c in name):
        raise DataError(
            f"class name {name[:200]!a} in {member!r} contains a control character or is not valid Unicode",
            code="unsafe_class_name",
            member=member,
            value=ascii(name[:200]),
        )
    check_limit("name_bytes of a class name", len(name.encode()), limits.name_bytes, member)
    return name


def class_names(raw: Iterable[str], *, member: str, limits: Limits) -> tuple[str, ...]:
    """A list of names, one a class, in label order.

    Raises:
        DataError: as `class_name`, or `label_mismatch` for an empty name or one that occurs twice.
    """
    names = tuple(class_name(name, member=member, limits=limits) for name in raw)
    check_limit("classes", len(names), limits.classes, member)
    if "" in names or len(set(names)) != len(names):
        raise DataError(
            f"a class name in {member!r} is empty or occurs twice", code="label_mismatch", member=member
        )
    return names


class LabelIndex:
    """Text labels as they are met → small numbers, and at the end the classes in their order."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._index: dict[str, int] = {}

    def add(self, name: str, member: str) -> int:
        """Raises DataError `limit_exceeded` with the first class too many."""
        found = self._index.setdefault(name, len(self._index))
        if found == len(self._index) - 1:
            check_limit("classes", len(self._index), self._limits.classes, member)
        return found

    def sort(self, labels_N: NDArray[np.int64]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """Classes in order, by value if every name is a whole number, and the labels as indices into them."""
        names = list(self._index)
        numeric = all(WHOLE_NUMBER.fullmatch(name) for name in names)
        classes = sorted(names, key=(lambda name: (int(name), name)) if numeric else None)
        position = np.empty(len(names), np.int64)
        position[[self._index[name] for name in classes]] = np.arange(len(names))
        return tuple(classes), position[labels_N]
