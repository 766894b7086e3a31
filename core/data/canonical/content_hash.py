"""What a data set is, whatever it is called: a hash over its classes, shapes, pixels and labels."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

#: In the order in which they are hashed.
SPLITS: Final = ("train", "test")
_PIECE = 1 << 20


def content_hash(
    classes: Sequence[str], size: int, channels: int, splits: Sequence[tuple[str, int, str, str]]
) -> str:
    """Args:
    size: pixels a side.
    splits: name, images, SHA-256 of all pixels and of all labels, in the order of `SPLITS`.
    """
    facts = [list(classes), size, channels]
    parts = [list(split) for split in splits]
    return hashlib.sha256(json.dumps([facts, parts], ensure_ascii=True).encode()).hexdigest()


def hash_of_folder(folder: Path, manifest: dict[str, Any]) -> str:
    """The hash of a canonical set, from its files alone and the manifest's classes and sizes.

    Raises:
        OSError: a file is missing.
    """
    splits = [
        (
            split,
            manifest["splits"][split]["count"],
            _array_sha256(folder / f"{split}.images.npy"),
            _array_sha256(folder / f"{split}.labels.npy"),
        )
        for split in SPLITS
    ]
    return content_hash(manifest["classes"], manifest["image_size"], manifest["channels"], splits)


def _array_sha256(path: Path) -> str:
    """Of the values, without the header: numpy's format 1.0, whose length is in two bytes from the eighth."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(int.from_bytes(file.read(10)[8:], "little"), 1)
        for piece in _pieces(file):
            digest.update(piece)
    return digest.hexdigest()


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece
