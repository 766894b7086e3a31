"""ImageFolder zip of 8-bit PNG files, for tools that read pictures only."""

import io
import re
from pathlib import Path
from urllib.parse import quote
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.export import manifest
from core.export.card import readme
from core.export.condensed import CondensedSet, canonical_json
from core.export.zip_archive import member

# File systems end a name at 255 bytes; the index before it keeps a shortened name unique.
MAX_NAME = 120


def write(condensed: CondensedSet, path: Path) -> None:
    """`<class index>_<escaped class name>/<n>.png` with README.md and manifest.json beside the folders.

    Indices are zero-padded, so that ImageFolder's alphabetical order is the order of the labels. A class
    without images keeps an empty folder for the same reason. Lossy: pixels are clamped to [0, 1] and rounded
    to 8 bits.
    """
    classes = condensed.classes
    folders = [folder_name(index, name, len(classes)) for index, name in enumerate(classes)]
    pixels_NHWC = condensed.pixels_uint8_NHWC()
    content = manifest.describe(condensed, pixels_normalised=False)
    content["png"] = {
        "folders": folders,
        "loss": "clamped to [0, 1] and rounded to 8 bits; the safetensors, npz and pt files are exact",
        "clamped_fraction": condensed.clamped_fraction(),
    }
    with ZipFile(path, "w") as archive:
        archive.writestr(member("README.md"), readme(condensed).encode())
        archive.writestr(member("manifest.json"), (canonical_json(content, indent=2) + "\n").encode())
        for label, folder in enumerate(folders):
            archive.writestr(member(f"{folder}/"), b"")
            indices = np.flatnonzero(condensed.labels_N == label)
            digits = len(str(max(len(indices) - 1, 0)))
            for number, index in enumerate(indices):
                archive.writestr(member(f"{folder}/{number:0{digits}d}.png"), _encode(pixels_NHWC[index]))


def folder_name(index: int, class_name: str, classes: int) -> str:
    """A name that every file system takes: index, then the name percent-encoded but for A-Z a-z 0-9 _ -."""
    digits = len(str(classes - 1))
    escaped = quote(class_name, safe="").replace(".", "%2E").replace("~", "%7E")
    # A cut within an escape (%E4) would leave a half that decodes to another character.
    shortened = re.sub(r"%.?$", "", escaped[:MAX_NAME])
    return f"{index:0{digits}d}_{shortened}"


def _encode(pixels_HWC: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(pixels_HWC[:, :, 0] if pixels_HWC.shape[2] == 1 else pixels_HWC)
    image.save(file, format="PNG")
    return file.getvalue()
