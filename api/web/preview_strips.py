"""Rows of a preview's picture, cut for a page that shows real images beside condensed ones: geometry only."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.storage import Storage

#: Of the preview of a condensed set (core/export/preview.py).
PREVIEW_CLASSES = 100
PREVIEW_IMAGES = 10

_GAP = 2
"""Between the rows of a preview, and around them, in px."""

REAL_IMAGES = 10
"""Side by side in a data set's preview (core/data/preview.py)."""
_ABREAST = 15
_LEAST_REAL = 5

_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, kw_only=True)
class Strip:
    """A class's row in a preview: from `top`, `height` px high, the first `width` px of a picture that is
    `full` by `whole` px."""

    label: int
    name: str
    width: int
    full: int
    whole: int
    top: int
    height: int


def strips(storage: Storage, key: str, classes: Sequence[str], most: int) -> list[Strip]:
    """The rows of the preview at `key`, a PNG of the first `most` classes; none if it cannot be read."""
    size = _png_size(storage, key)
    rows = min(len(classes), most)
    if size is None or not rows:
        return []
    width, height = size
    step = (height - _GAP) // rows
    return [
        Strip(
            label=row, name=classes[row], width=width, full=width, whole=height,
            top=row * step + _GAP // 2, height=step,
        )
        for row in range(rows)
    ]  # fmt: skip


def beside(real: Sequence[Strip], condensed: int) -> list[Strip]:
    """Rows of real images as long as the window of a desk has room for beside so many condensed ones."""
    columns = min(REAL_IMAGES, max(_LEAST_REAL, _ABREAST - condensed))
    return [replace(one, width=columns * ((one.full - _GAP) // REAL_IMAGES) + _GAP) for one in real]


def _png_size(storage: Storage, key: str) -> tuple[int, int] | None:
    try:
        head = b"".join(storage.read(key, 0, min(24, storage.size(key))))
    except OSError:
        return None
    return struct.unpack(">II", head[16:24]) if len(head) == 24 and head.startswith(_PNG) else None
