"""Write every format, read back those that are exact, and say what was written."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from core.errors import JobError
from core.export import manifest, npz, parquet, png, preview, pt, safetensors, webdataset
from core.export.condensed import CondensedSet, canonical_json

OCTETS = "application/octet-stream"
ZIP = "application/zip"
EXACT: tuple[tuple[str, str, ModuleType, str], ...] = (
    ("safetensors", "condensed.safetensors", safetensors, OCTETS),
    ("npz", "condensed.npz", npz, OCTETS),
    ("pt", "condensed.pt", pt, OCTETS),
    ("parquet", "condensed-parquet.zip", parquet, ZIP),
    ("webdataset", "condensed-webdataset.tar", webdataset, "application/x-tar"),
)
"""Format, file, writer and media type of what holds the pixels bit by bit, the canonical one first."""


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
    """Write the exact formats, manifest, png and preview into the folder `out`, made if it is absent.

    The same set gives the same bytes, on the same versions of the libraries. The exact formats are read back
    and compared bit by bit before anything is returned.

    Raises:
        JobError: `artifact_mismatch`, a file does not hold what was written.
    """
    out.mkdir(parents=True, exist_ok=True)
    exact = []
    for name, file_name, writer, media_type in EXACT:
        path = out / file_name
        writer.write(condensed, path)
        verify(condensed, writer.read(path), path)
        exact.append(_written(name, path, media_type))
    canonical = exact[0]

    manifest_path = out / "manifest.json"
    manifest.write(condensed, manifest_path, safetensors_sha256=canonical.sha256)
    png_path = out / "condensed-png.zip"
    png.write(condensed, png_path)
    preview_path = out / "preview.png"
    preview.write(condensed, preview_path)
    return [
        canonical,
        _written("manifest", manifest_path, "application/json"),
        *exact[1:],
        _written("png", png_path, ZIP),
        _written("preview", preview_path, "image/png"),
    ]


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
    }
    differing = [name for name, equal in same.items() if not equal]
    if differing:
        raise JobError(
            f"{path.name} read back differs from the set in {', '.join(differing)}:"
            " the disk or a library is faulty.",
            code="artifact_mismatch",
            file_name=path.name,
        )


def _written(format: str, path: Path, media_type: str) -> WrittenArtifact:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return WrittenArtifact(
        format=format,
        file_name=path.name,
        media_type=media_type,
        path=path,
        size=path.stat().st_size,
        sha256=digest,
    )
