"""manifest.json: what the set is, where it came from and how to load it, for people and programs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.export.condensed import CondensedSet, canonical_json
from core.export.loading import loading

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


def write(condensed: CondensedSet, path: Path, *, safetensors_sha256: str) -> None:
    """The manifest of the canonical file, which it names by `safetensors_sha256` (hex)."""
    content = describe(condensed, pixels_normalised=True)
    content["safetensors"] = {"file_name": "condensed.safetensors", "sha256": safetensors_sha256}
    content["how_to_load"] = loading(condensed)
    # As bytes: text mode writes other line ends on Windows.
    path.write_bytes((canonical_json(content, indent=2) + "\n").encode())
