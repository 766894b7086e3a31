"""Notices that a file which is read where it lies changes meanwhile."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import DataError

Stamp = tuple[int, int, int]
"""File number, size and time of the last change: another file or other content has another one."""


def stamp(status: os.stat_result) -> Stamp:
    return status.st_ino, status.st_size, status.st_mtime_ns


def changed(name: str) -> DataError:
    return DataError(
        f"{name!r} was changed, replaced or removed while the set was read: try again once nothing writes it",
        code="source_changed",
        member=name,
    )


@contextmanager
def unchanged(descriptor: int, name: str) -> Iterator[None]:
    """Around everything that reads an open file.

    Raises:
        DataError: `source_changed`, also in place of the faults that the change brought about.
    """
    before = stamp(os.fstat(descriptor))
    try:
        yield
    except DataError as error:
        if stamp(os.fstat(descriptor)) != before:
            raise changed(name) from error
        raise
    if stamp(os.fstat(descriptor)) != before:
        raise changed(name)
