"""ImageFolder zip of 8-bit PNG files, for tools that read pictures only."""

from pathlib import Path
from zipfile import ZipFile

import numpy as np

from core.export import manifest
from core.export.card import readme
from core.export.condensed import CondensedSet, canonical_json
from core.export.folder_names import folder_name
from core.export.writer import Writer
from core.export.zip_archive import member

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Pillow's mode of the files, by number of channels."""


def write(condensed: CondensedSet, path: Path) -> None:
    """`<class index>_<class name>/<n>.png` with README.md and manifest.json beside the folders.

    Indices are zero-padded, so that ImageFolder's alphabetical order is the order of the labels. A class
    without images keeps an empty folder for the same reason. The files are grey, RGB or RGBA. Lossy: pixels
    are clamped to [0, 1] and rounded to 8 bits. Of collages, those as they are stored lie beside the folders,
    as `stored-<folder>-<n>.png`: ImageFolder looks into folders alone.
    """
    classes = condensed.classes
    folders = [folder_name(index, name, len(classes)) for index, name in enumerate(classes)]
    content = manifest.describe(condensed, pixels_normalised=False)
    content["png"] = {
        "folders": folders,
        "loss": "clamped to [0, 1] and rounded to 8 bits; the other formats are exact",
        "clamped_fraction": condensed.clamped_fraction(),
    }
    with ZipFile(path, "w") as archive:
        archive.writestr(member("README.md"), readme(condensed).encode())
        archive.writestr(member("manifest.json"), (canonical_json(content, indent=2) + "\n").encode())
        for label, folder in enumerate(folders):
            archive.writestr(member(f"{folder}/"), b"")
            _write_class(archive, f"{folder}/", condensed, label)
        if condensed.collages is not None:
            stored = condensed.as_stored()
            for label, folder in enumerate(folders):
                _write_class(archive, f"stored-{folder}-", stored, label)


def _write_class(archive: ZipFile, prefix: str, images: CondensedSet, label: int) -> None:
    indices = np.flatnonzero(images.labels_N == label)
    digits = len(str(max(len(indices) - 1, 0)))
    for number, index in enumerate(indices):
        archive.writestr(member(f"{prefix}{number:0{digits}d}.png"), images.png(int(index)))


def _loading(condensed: CondensedSet) -> list[str]:
    channels = condensed.images_NCHW.shape[1]
    empty = "" if all(condensed.images_per_class) else ", allow_empty=True"
    if channels == 3:
        return [
            "from torchvision.datasets import ImageFolder",
            f'dataset = ImageFolder("condensed-png"{empty})  # unzip condensed-png.zip -d condensed-png',
            "image, label = dataset[0]",
        ]
    loader = f'lambda path: Image.open(path).convert("{MODES[channels]}")'
    return [
        "from PIL import Image",
        "from torchvision.datasets import ImageFolder",
        f'dataset = ImageFolder("condensed-png"{empty}, loader={loader})',
    ]


WRITER = Writer(write=write, loading=_loading)
