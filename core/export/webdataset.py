"""Tar in the layout of WebDataset: an image's files side by side under one key."""

import io
import json
from pathlib import Path
from tarfile import REGTYPE, USTAR_FORMAT, TarFile, TarInfo
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.export import manifest
from core.export.card import readme
from core.export.collages import Collages
from core.export.condensed import CondensedSet, canonical_json, card_of
from core.export.writer import Writer

# WebDataset's reader skips names of this form. That of Hugging Face's `datasets` skips names without a dot.
README = "__README__"
MANIFEST = "__manifest__"
STORED = "__stored__"
STORED_LABELS = "__stored_labels__"


def write(condensed: CondensedSet, path: Path) -> None:
    """`<number>.png` (8 bits), `.cls` (label) and `.npy` of each image, in the order of the set.

    `.npy` is the exact normalised float32 C × H × W. Before the images stand the card, the manifest and, of
    collages, those as they are stored and their labels (both npy), under names that are no samples.
    """
    content = manifest.describe(condensed, pixels_normalised=True)
    count = len(condensed.labels_N)
    digits = max(6, len(str(count - 1)))
    with TarFile.open(path, "w", format=USTAR_FORMAT) as archive:
        _add(archive, README, readme(condensed).encode())
        _add(archive, MANIFEST, (canonical_json(content, indent=2) + "\n").encode())
        if condensed.collages is not None:
            _add(archive, STORED, _npy(condensed.collages.images_NCHW))
            _add(archive, STORED_LABELS, _npy(condensed.collages.labels_N))
        for number in range(count):
            key = f"{number:0{digits}d}"
            _add(archive, f"{key}.png", condensed.png(number))
            _add(archive, f"{key}.cls", str(condensed.labels_N[number]).encode())
            _add(archive, f"{key}.npy", _npy(condensed.images_NCHW[number]))


def read(path: Path) -> CondensedSet:
    images, labels, stored = [], [], {}
    with TarFile.open(path, "r:") as archive:
        for info in archive:
            file = archive.extractfile(info)
            assert file is not None
            if info.name == MANIFEST:
                described = json.load(file)
            elif info.name in (STORED, STORED_LABELS):
                stored[info.name] = _from_npy(file.read())
            elif info.name.endswith(".npy"):
                images.append(_from_npy(file.read()))
            elif info.name.endswith(".cls"):
                labels.append(int(file.read()))
    collages = None
    if "collages" in described:
        factor = described["collages"]["factor"]
        collages = Collages(images_NCHW=stored[STORED], labels_N=stored[STORED_LABELS], factor=factor)
    return CondensedSet(
        collages=collages,
        images_NCHW=np.stack(images),
        labels_N=np.array(labels, np.int64),
        classes=tuple(described["classes"]),
        mean=tuple(described["normalisation"]["mean"]),
        std=tuple(described["normalisation"]["std"]),
        card=card_of(manifest.provenance_of(described)),
    )


def _npy(array: NDArray[Any]) -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array(content, np.asarray(array, order="C"), allow_pickle=False)
    return content.getvalue()


def _from_npy(content: bytes) -> NDArray[Any]:
    array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    return array


def _add(archive: TarFile, name: str, content: bytes) -> None:
    """A member whose header says nothing of when, where or by whom it was written."""
    info = TarInfo(name)
    info.type, info.mode, info.mtime = REGTYPE, 0o644, 0
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def _loading(condensed: CondensedSet) -> list[str]:
    return [
        "from webdataset import WebDataset",
        'samples = WebDataset("condensed-webdataset.tar", shardshuffle=False).decode()',
        'images, labels = zip(*samples.to_tuple("npy", "cls"))',
    ]


WRITER = Writer(
    write=write,
    read=read,
    normalised="WebDataset (`.npy`)",
    eight_bit="WebDataset (`.png`)",
    loading=_loading,
)
