"""Tar in the layout of WebDataset: an image's files side by side under one key."""

import io
import json
from pathlib import Path
from tarfile import REGTYPE, USTAR_FORMAT, TarFile, TarInfo

import numpy as np

from core.export import manifest
from core.export.card import readme
from core.export.condensed import CondensedSet, canonical_json, card_of
from core.export.writer import Writer

# WebDataset's reader skips names of this form. That of Hugging Face's `datasets` skips names without a dot.
README = "__README__"
MANIFEST = "__manifest__"


def write(condensed: CondensedSet, path: Path) -> None:
    """`<number>.png` (8 bits), `.cls` (label) and `.npy` of each image, in the order of the set.

    `.npy` is the exact normalised float32 C × H × W. Before the images stand the card and the manifest, under
    names that are no samples.
    """
    content = manifest.describe(condensed, pixels_normalised=True)
    count = len(condensed.labels_N)
    digits = max(6, len(str(count - 1)))
    with TarFile.open(path, "w", format=USTAR_FORMAT) as archive:
        _add(archive, README, readme(condensed).encode())
        _add(archive, MANIFEST, (canonical_json(content, indent=2) + "\n").encode())
        for number in range(count):
            key = f"{number:0{digits}d}"
            pixels = io.BytesIO()
            image_CHW = np.asarray(condensed.images_NCHW[number], order="C")
            np.lib.format.write_array(pixels, image_CHW, allow_pickle=False)
            _add(archive, f"{key}.png", condensed.png(number))
            _add(archive, f"{key}.cls", str(condensed.labels_N[number]).encode())
            _add(archive, f"{key}.npy", pixels.getvalue())


def read(path: Path) -> CondensedSet:
    images, labels = [], []
    with TarFile.open(path, "r:") as archive:
        for info in archive:
            file = archive.extractfile(info)
            assert file is not None
            if info.name == MANIFEST:
                described = json.load(file)
            elif info.name.endswith(".npy"):
                images.append(np.lib.format.read_array(io.BytesIO(file.read()), allow_pickle=False))
            elif info.name.endswith(".cls"):
                labels.append(int(file.read()))
    return CondensedSet(
        images_NCHW=np.stack(images),
        labels_N=np.array(labels, np.int64),
        classes=tuple(described["classes"]),
        mean=tuple(described["normalisation"]["mean"]),
        std=tuple(described["normalisation"]["std"]),
        card=card_of(manifest.provenance_of(described)),
    )


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
