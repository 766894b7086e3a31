"""What a format's module offers under the name `WRITER`."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from core.export.condensed import CondensedSet
from core.export.formats import FORMATS, Format


@dataclass(frozen=True, kw_only=True)
class Writer:
    """How one format is written, and what its card and its manifest say of it.

    Attributes:
        write: writes the file; equal sets give equal bytes. What is earlier in the list lies beside it.
        read: of a format that holds the set bit by bit, the way back; None of others.
        normalised: what holds the normalised float32 pixels, as the card names it; None if nothing does.
        eight_bit: what, beside the archive of PNG files, holds such files, which are not normalised.
        loading: the lines of Python that load it, three or fewer, for a set like the one given; None of what
            holds no images one by one.
    """

    write: Callable[[CondensedSet, Path], None]
    read: Callable[[Path], CondensedSet] | None = None
    normalised: str | None = None
    eight_bit: str | None = None
    loading: Callable[[CondensedSet], list[str]] | None = None


def writer_of(format: Format) -> Writer:
    """Imports the format's module, and with it the libraries that it needs."""
    writer = importlib.import_module(format.module).WRITER
    assert isinstance(writer, Writer)
    return writer


def writers() -> Iterator[tuple[Format, Writer]]:
    """All of them, in the order of the list."""
    return ((format, writer_of(format)) for format in FORMATS)


def loading(condensed: CondensedSet) -> dict[str, list[str]]:
    """Lines of Python by format; the folders named are the zips, each unpacked into one of its own name."""
    return {
        format.name: writer.loading(condensed) for format, writer in writers() if writer.loading is not None
    }
