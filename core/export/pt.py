"""pt: the layout that published evaluators read, safe for torch.load(weights_only=True)."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.export.collages import Collages
from core.export.condensed import CondensedSet, card_of
from core.export.writer import Writer


def write(condensed: CondensedSet, path: Path) -> None:
    """`{'data': [[images, labels]], 'mean', 'std', 'classes', 'card'}`, the last four as plain types; of
    collages `'stored': [images, labels]` as well.

    Layout of `data`: VICO-UoE/DatasetCondensation, one [images, labels] pair an experiment.
    """
    content: dict[str, Any] = {
        "data": [[_tensor(condensed.images_NCHW), _tensor(condensed.labels_N)]],
        "mean": list(condensed.mean),
        "std": list(condensed.std),
        "classes": list(condensed.classes),
        "card": condensed.provenance(pixels_normalised=True),
    }
    if condensed.collages is not None:
        stored = condensed.collages
        content["stored"] = [_tensor(stored.images_NCHW), _tensor(stored.labels_N)]
    # Through an open file: given a path, torch writes the file's name into every member's name.
    with path.open("wb") as file:
        torch.save(content, file)


def _tensor(array: NDArray[Any]) -> torch.Tensor:
    """A copy in C order: torch would keep, and store, the strides of a transposed array."""
    return torch.tensor(np.ascontiguousarray(array))


def read(path: Path) -> CondensedSet:
    content = torch.load(path, map_location="cpu", weights_only=True)
    [[images, labels]] = content["data"]
    collages = None
    if "collages" in content["card"]:
        stored, stored_labels = content["stored"]
        factor = content["card"]["collages"]["factor"]
        collages = Collages(images_NCHW=stored.numpy(), labels_N=stored_labels.numpy(), factor=factor)
    return CondensedSet(
        collages=collages,
        images_NCHW=images.numpy(),
        labels_N=labels.numpy(),
        classes=tuple(content["classes"]),
        mean=tuple(content["mean"]),
        std=tuple(content["std"]),
        card=card_of(content["card"]),
    )


def _loading(condensed: CondensedSet) -> list[str]:
    return [
        "import torch",
        'content = torch.load("condensed.pt", weights_only=True)',
        'images, labels = content["data"][0]',
    ]


WRITER = Writer(write=write, read=read, normalised="pt", loading=_loading)
