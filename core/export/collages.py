"""What the images of a set are decoded from, where several are stored as one."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

HOW = (
    "Each stored image is a grid of f × f tiles, row by row, each of ceil(side / f) pixels. A tile enlarged "
    "bilinearly (align_corners False, no antialias) to the full size is one image of the set. The set has "
    "the first tile of every stored image, then the second of every one, and so on; its labels are the "
    "stored ones, f² times over. Where f does not divide a side, a stored image is first padded at its "
    "bottom and right with the value of a pixel of 0.5."
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Collages:
    """Stored images: factor² of the set's are decoded from each, tile by tile (`HOW`).

    Args:
        images_NCHW: float32, normalised as the set is, of the same channels and size.
        labels_N: int64.
    """

    images_NCHW: NDArray[np.float32]
    labels_N: NDArray[np.int64]
    factor: int

    def misfit(self, images_NCHW: NDArray[np.float32], labels_N: NDArray[np.int64]) -> str | None:
        """Why a set of these images and labels cannot have been decoded from them; None if it can."""
        tiles = self.factor**2
        if self.factor < 2 or self.images_NCHW.dtype != np.float32 or self.labels_N.dtype != np.int64:
            return f"factor {self.factor}, images {self.images_NCHW.dtype}, labels {self.labels_N.dtype}"
        if self.images_NCHW.shape[1:] != images_NCHW.shape[1:]:
            return f"their shape is {self.images_NCHW.shape}, that of the images {images_NCHW.shape}"
        if not np.isfinite(self.images_NCHW).all():
            return "they hold values that are not finite"
        if not np.array_equal(np.tile(self.labels_N, tiles), labels_N):
            return (
                f"{len(self.labels_N)} stored labels, {tiles} times over, are not the {len(labels_N)} labels"
            )
        return None

    def provenance(self, classes: int) -> dict[str, Any]:
        """What the card says of them."""
        per_class = np.bincount(self.labels_N, minlength=classes).tolist()
        return {"factor": self.factor, "stored_per_class": per_class, "how_to_decode": HOW}
