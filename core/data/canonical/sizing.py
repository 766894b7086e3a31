"""Which square size the canonical images get."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidRequest

SMALLEST, LARGEST = 16, 256
SUGGESTED = (16, 28, 32, 48, 64)


@dataclass(frozen=True, kw_only=True)
class Sizing:
    """`origin` is "requested", "native" or "suggested"; `rule` says in words what is done to the images.

    `suggested` is the size that a set of these images is condensed at with moderate means.
    """

    image_size: int
    suggested: int
    origin: str
    rule: str


def choose_size(sizes_N2: NDArray[np.int32], requested: int | None) -> Sizing:
    """The size asked for; else the set's own, if all share one square of 16 to 256 px; else a suggestion.

    The suggestion is the largest of 16, 28, 32, 48 and 64 px that is not above the median shorter side. It
    stops at 64 because the cost of condensing grows with the square of the size: a larger size is the
    user's decision. Sets smaller than 16 px are enlarged to 16.

    Raises:
        InvalidRequest: `invalid_image_size`.
    """
    if requested is not None and not SMALLEST <= requested <= LARGEST:
        raise InvalidRequest(
            f"image_size is {requested}; it must be {SMALLEST} to {LARGEST} px",
            code="invalid_image_size",
            pointer="/image_size",
            value=requested,
        )
    height, width = (int(side) for side in sizes_N2[0])
    shared = bool((sizes_N2 == sizes_N2[0]).all())
    native = shared and height == width and SMALLEST <= height <= LARGEST
    shorter = float(np.median(sizes_N2.min(axis=1)))
    suggested = max((s for s in SUGGESTED if s <= shorter), default=SMALLEST)
    if requested is not None:
        size, origin = requested, "requested"
    elif native:
        size, origin = height, "native"
    else:
        size, origin = suggested, "suggested"
    if shared and height == width == size:
        rule = "kept: every image has this size"
    else:
        rule = "largest centred square of each image, resampled by Lanczos"
    return Sizing(image_size=size, suggested=suggested, origin=origin, rule=rule)
