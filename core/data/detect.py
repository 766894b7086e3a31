"""Which reader an upload is for: decided by content, the strictest match first."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from core.data.containers.archive import Archive
from core.data.containers.opening import open_source
from core.data.limits import Limits
from core.data.readers import cifar, cifar_binary, idx, imagefolder, npz, parquet, table, webdataset
from core.data.sniff import UNRECOGNISED, describe, unrecognised
from core.data.source import Source
from core.errors import DataError


class Reader(Protocol):
    """What a module of core/data/readers has."""

    @property
    def __name__(self) -> str: ...

    @property
    def NAME(self) -> str:
        """A manifest's `source_format`."""

    @property
    def ACCEPTS(self) -> str:
        """What it reads, in a few words for whoever sent something else."""

    def matches(self, archive: Archive) -> bool: ...

    def read(self, archive: Archive, limits: Limits) -> Source: ...


# Formats with marks of their own come first; then names that go together, and a table that names images;
# class folders last, because any archive with an image in it passes for them.
READERS: tuple[Reader, ...] = (npz, cifar, cifar_binary, idx, parquet, webdataset, table, imagefolder)


@contextmanager
def open_set(path: Path, work: Path, limits: Limits) -> Iterator[Source]:
    """The set in an upload, or in a path on the server; its pixels can be read until the context ends.

    Raises:
        DataError: what `open_source` and `read_archive` raise; where the format is not known, with those that
            are.
    """
    try:
        with open_source(path, work, limits) as archive:
            yield read_archive(archive, limits)
    except DataError as error:
        if error.code != UNRECOGNISED or "seen" not in error.context:
            raise
        supported = [reader.ACCEPTS for reader in reversed(READERS)]
        detail = f"{error.detail}. Supported: {'; '.join(supported)}"
        raise DataError(detail, code=error.code, **error.context, supported=supported) from error


def read_archive(archive: Archive, limits: Limits) -> Source:
    """Read with the first reader that knows the content.

    Raises:
        DataError: `no_images` for an empty archive, `unrecognised_format`, or what the reader raises.
    """
    if not archive.members:
        raise DataError(f"the {archive.container} holds no files", code="no_images")
    for reader in READERS:
        if reader.matches(archive):
            return reader.read(archive, limits)
    first = archive.members[0]
    seen = f"a {archive.container} of {len(archive.members):,} files, the first ({first.name!r}) of"
    raise unrecognised(f"{seen} {describe(archive.head(first, 512))}")
