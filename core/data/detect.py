"""Which reader an archive is for: decided by content, the strictest match first."""

from collections.abc import Callable

from core.data.containers.archive import Archive
from core.data.limits import Limits
from core.data.readers import cifar, cifar_binary, idx, imagefolder, npz, parquet, table, webdataset
from core.data.sniff import describe, unrecognised
from core.data.source import Source
from core.errors import DataError

# Formats with marks of their own come first; then names that go together, and a table that names images;
# class folders last, because any archive with an image in it passes for them.
READERS: tuple[tuple[Callable[[Archive], bool], Callable[[Archive, Limits], Source]], ...] = (
    (npz.matches, npz.read),
    (cifar.matches, cifar.read),
    (cifar_binary.matches, cifar_binary.read),
    (idx.matches, idx.read),
    (parquet.matches, parquet.read),
    (webdataset.matches, webdataset.read),
    (table.matches, table.read),
    (imagefolder.matches, imagefolder.read),
)


def read_archive(archive: Archive, limits: Limits) -> Source:
    """Read with the first reader that knows the content.

    Raises:
        DataError: `no_images` for an empty archive, `unrecognised_format`, or what the reader raises.
    """
    if not archive.members:
        raise DataError(f"the {archive.container} holds no files", code="no_images")
    for matches, read in READERS:
        if matches(archive):
            return read(archive, limits)
    first = archive.members[0]
    seen = f"a {archive.container} of {len(archive.members):,} files, the first ({first.name!r}) of"
    raise unrecognised(f"{seen} {describe(archive.head(first, 512))}")
