"""npz: NumPy alone reads it, and without pickle."""

import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from core.export.collages import Collages
from core.export.condensed import CondensedSet, canonical_json, card_of
from core.export.writer import Writer
from core.export.zip_archive import member


def write(condensed: CondensedSet, path: Path) -> None:
    """Arrays `images`, `labels`, `mean`, `std` (float64), `classes` (text) and `card` (JSON text, 0-d); of
    collages `stored` and `stored_labels` as well."""
    arrays: dict[str, NDArray[Any]] = {
        "images": condensed.images_NCHW,
        "labels": condensed.labels_N,
        "mean": np.asarray(condensed.mean, np.float64),
        "std": np.asarray(condensed.std, np.float64),
        "classes": np.asarray(condensed.classes, np.str_),
        "card": np.asarray(canonical_json(condensed.provenance(pixels_normalised=True)), np.str_),
    }
    if condensed.collages is not None:
        arrays |= {"stored": condensed.collages.images_NCHW, "stored_labels": condensed.collages.labels_N}
    with ZipFile(path, "w") as archive:
        for name, array in sorted(arrays.items()):
            with archive.open(member(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array, order="C"), allow_pickle=False)


def read(path: Path) -> CondensedSet:
    with np.load(path, allow_pickle=False) as arrays:
        card = json.loads(arrays["card"].item())
        collages = None
        if "collages" in card:
            collages = Collages(
                images_NCHW=arrays["stored"],
                labels_N=arrays["stored_labels"],
                factor=card["collages"]["factor"],
            )
        return CondensedSet(
            collages=collages,
            images_NCHW=arrays["images"],
            labels_N=arrays["labels"],
            classes=tuple(arrays["classes"].tolist()),
            mean=tuple(arrays["mean"].tolist()),
            std=tuple(arrays["std"].tolist()),
            card=card_of(card),
        )


def _loading(condensed: CondensedSet) -> list[str]:
    return [
        "import numpy as np",
        'arrays = np.load("condensed.npz", allow_pickle=False)',
        'images, labels = arrays["images"], arrays["labels"]',
    ]


WRITER = Writer(write=write, read=read, normalised="npz", loading=_loading)
