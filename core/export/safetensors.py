"""safetensors, the canonical format: float32 normalised pixels, exact, with the card as metadata."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from core.export.collages import Collages
from core.export.condensed import CondensedSet, canonical_json, card_of
from core.export.writer import Writer


def write(condensed: CondensedSet, path: Path) -> None:
    """Tensors `images` (float32 NCHW) and `labels` (int64 N), of collages `stored` and `stored_labels` as
    well; each metadata value is JSON."""
    provenance = condensed.provenance(pixels_normalised=True)
    tensors: dict[str, NDArray[Any]] = {
        "images": np.ascontiguousarray(condensed.images_NCHW),
        "labels": np.ascontiguousarray(condensed.labels_N),
    }
    if condensed.collages is not None:
        tensors["stored"] = np.ascontiguousarray(condensed.collages.images_NCHW)
        tensors["stored_labels"] = np.ascontiguousarray(condensed.collages.labels_N)
    metadata = {field: canonical_json(value) for field, value in provenance.items()}
    path.write_bytes(_sorted_header(save(tensors, metadata=metadata)))


def read(path: Path) -> CondensedSet:
    with safe_open(path, framework="numpy") as file:
        provenance = {field: json.loads(text) for field, text in file.metadata().items()}
        collages = None
        if "collages" in provenance:
            collages = Collages(
                images_NCHW=file.get_tensor("stored"),
                labels_N=file.get_tensor("stored_labels"),
                factor=provenance["collages"]["factor"],
            )
        return CondensedSet(
            collages=collages,
            images_NCHW=file.get_tensor("images"),
            labels_N=file.get_tensor("labels"),
            classes=tuple(provenance["classes"]),
            mean=tuple(provenance["normalisation"]["mean"]),
            std=tuple(provenance["normalisation"]["std"]),
            card=card_of(provenance),
        )


def _sorted_header(blob: bytes) -> bytes:
    """The same file with its metadata in sorted order.

    The library keeps metadata in a hash map with a random seed, so that each process would write other bytes.
    Layout: 8 bytes little-endian header length, the header as JSON, padded with spaces to 8 bytes, the data.
    """
    length = int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + blob[8 + length :]


def _loading(condensed: CondensedSet) -> list[str]:
    return [
        "from safetensors.numpy import load_file",
        'tensors = load_file("condensed.safetensors")',
        'images, labels = tensors["images"], tensors["labels"]',
    ]


WRITER = Writer(write=write, read=read, normalised="safetensors", loading=_loading)
