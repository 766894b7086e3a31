"""Write every format, read back those that are exact, and say what was written."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import JobError
from core.export.collages import Collages
from core.export.condensed import CondensedSet, canonical_json
from core.export.formats import Format
from core.export.writer import writers


@dataclass(frozen=True, kw_only=True)
class WrittenArtifact:
    """A file on disk: size in bytes, sha256 in hex."""

    format: str
    file_name: str
    media_type: str
    path: Path
    size: int
    sha256: str


def write_all(condensed: CondensedSet, out: Path) -> list[WrittenArtifact]:
    """Write every format of core.export.formats into the folder `out`, made if it is absent, in its order.

    The same set gives the same bytes, on the same versions of the libraries. The exact formats are read back
    and compared bit by bit before anything is returned.

    Raises:
        JobError: `artifact_mismatch`, a file does not hold what was written.
    """
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for format, writer in writers():
        path = out / format.file_name
        writer.write(condensed, path)
        if writer.read is not None:
            verify(condensed, writer.read(path), path)
        written.append(written_as(format, path))
    return written


def verify(expected: CondensedSet, found: CondensedSet, path: Path) -> None:
    """Compare everything that two sets hold; pixels by their bits, so that -0.0 is not 0.0.

    Raises:
        JobError: `artifact_mismatch`, with the name of the file and of what differs.
    """
    bits_expected = np.ascontiguousarray(expected.images_NCHW).view(np.uint32)
    bits_found = np.ascontiguousarray(found.images_NCHW).view(np.uint32)
    same = {
        "images": np.array_equal(bits_expected, bits_found),
        "labels": np.array_equal(expected.labels_N, found.labels_N),
        "classes": expected.classes == found.classes,
        "mean": expected.mean == found.mean,
        "std": expected.std == found.std,
        "card": canonical_json(dict(expected.card)) == canonical_json(dict(found.card)),
        "collages": _same_collages(expected.collages, found.collages),
    }
    differing = [name for name, equal in same.items() if not equal]
    if differing:
        raise JobError(
            f"{path.name} read back differs from the set in {', '.join(differing)}:"
            " the disk or a library is faulty.",
            code="artifact_mismatch",
            file_name=path.name,
        )


def _same_collages(expected: Collages | None, found: Collages | None) -> bool:
    if expected is None or found is None:
        return expected is found
    bits, other = (np.ascontiguousarray(one.images_NCHW).view(np.uint32) for one in (expected, found))
    same_labels = np.array_equal(expected.labels_N, found.labels_N)
    return np.array_equal(bits, other) and same_labels and expected.factor == found.factor


def written_as(format: Format, path: Path) -> WrittenArtifact:
    """A file that is on disk as an artifact of a format."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return WrittenArtifact(
        format=format.name,
        file_name=format.file_name,
        media_type=format.media_type,
        path=path,
        size=path.stat().st_size,
        sha256=digest,
    )
