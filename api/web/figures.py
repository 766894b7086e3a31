"""Pictures and plots as pages draw them: geometry only, the templates make SVG of it."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.storage import Storage

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


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table of results, with the marks of its plot, in per cent of the scale's width."""

    evaluation: Any
    band: tuple[float, float] | None
    """Mean ± std: where it begins, and how wide it is."""
    mean: float
    ticks: list[float]


@dataclass(frozen=True, kw_only=True)
class Results:
    """The evaluations on one network. `low` and `high` are the accuracies at the ends of the scale."""

    network: str
    low: float
    high: float
    rows: list[Row]
    lines: dict[str, float]
    """Where the means of random images, of herding and of the whole set are."""


def results(evaluations: Sequence[Any]) -> list[Results]:
    """By network, as the evaluations come; all on one scale, which ends at full twentieths."""
    if not evaluations:
        return []
    spread = [
        (one.mean - (one.std or 0), one.mean + (one.std or 0), min(one.accuracies), max(one.accuracies))
        for one in evaluations
    ]
    low = max(0.0, int(min(min(each) for each in spread) * 20 - 0.5) / 20)
    high = min(1.0, int(max(max(each) for each in spread) * 20 + 1.5) / 20)

    def at(accuracy: float) -> float:
        return round(100 * min(max((accuracy - low) / (high - low), 0.0), 1.0), 2)

    def row_of(one: Any) -> Row:
        start, stop = at(one.mean - (one.std or 0)), at(one.mean + (one.std or 0))
        band = None if one.std is None else (start, round(stop - start, 2))
        return Row(evaluation=one, band=band, mean=at(one.mean), ticks=[at(each) for each in one.accuracies])

    found = []
    for network in dict.fromkeys(one.network for one in evaluations):
        own = [one for one in evaluations if one.network == network]
        lines = {one.method: at(one.mean) for one in own if one.method in ("random", "herding", "whole")}
        rows = [row_of(one) for one in own]
        found.append(Results(network=network, low=low, high=high, rows=rows, lines=lines))
    return found
