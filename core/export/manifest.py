"""manifest.json: what the set is, where it came from and how to load it, for people and programs."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.export.condensed import CondensedSet, canonical_json
from core.export.formats import CANONICAL
from core.export.writer import Writer, loading

SCHEMA = "condensery.condensed_set/1"


def describe(condensed: CondensedSet, *, pixels_normalised: bool) -> dict[str, Any]:
    """The provenance with shape and dtype of the pixels as stored."""
    return {
        "schema": SCHEMA,
        **condensed.provenance(pixels_normalised=pixels_normalised),
        "images": {
            "shape": list(condensed.images_NCHW.shape),
            "axes": "NCHW",
            "dtype": "float32" if pixels_normalised else "uint8",
        },
        "labels": {"shape": list(condensed.labels_N.shape), "dtype": "int64"},
    }


def provenance_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """What `describe` was given: its content less what it says of the storage."""
    return {field: value for field, value in content.items() if field not in ("schema", "images", "labels")}


def write(condensed: CondensedSet, path: Path) -> None:
    """The manifest of the canonical file, which lies beside it: its name and SHA-256 are stated."""
    with path.with_name(CANONICAL.file_name).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    content = describe(condensed, pixels_normalised=True)
    content[CANONICAL.name] = {"file_name": CANONICAL.file_name, "sha256": digest}
    content["how_to_load"] = loading(condensed)
    # As bytes: text mode writes other line ends on Windows.
    path.write_bytes((canonical_json(content, indent=2) + "\n").encode())


WRITER = Writer(write=write)
