"""What is measured of a set's values: range, moments, neighbours, seams."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.condensed.published.layouts import OWN, Layout, Space

SAMPLE, SAMPLE_VALUES = 512, 4 * 1024**2
"""Images, evenly spaced, that moments, correlations and seams are measured on, and their values at the most;
the range is that of all images."""

FACTORS = (2, 3, 4)

BESIDE = 3
"""Rows or columns on either side that a seam is held against."""

SEAM = 1.5
"""What makes a seam. CIFAR-10: plain images 0.9 to 1.0, collages of them 2.7 and more."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Measured on the images whose values are all finite.

    Attributes:
        low, high, mean, std: by channel.
        neighbour: correlation of a pixel with the next one in its row. CIFAR-10: plain .93, ZCA-whitened .64
            (kornia, eps 0.1) or .39 (KIP's way).
        colour: correlation of the first two channels: .84 to .90 against .76 and .62; None of one channel.
        seams: by f, the mean step across the rows and columns where tiles of an f × f collage would meet
            over the mean step beside them, of the weakest such row or column. Plain images about 1.
        broken: images with values that are not finite.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    neighbour: float
    colour: float | None
    seams: dict[int, float]
    broken: int


def measure(images_NCHW: NDArray[np.float32]) -> Measured:
    """A few passes over the images, in some 200 MB of memory beside them."""
    finite_N = np.array([bool(np.isfinite(image).all()) for image in images_NCHW])
    good = np.flatnonzero(finite_N)
    broken = len(finite_N) - len(good)
    channels = images_NCHW.shape[1]
    if not len(good):
        nothing = (0.0,) * channels
        return Measured(
            low=nothing, high=nothing, mean=nothing, std=nothing, neighbour=1.0, colour=None, seams={},
            broken=broken,
        )  # fmt: skip
    low = np.min([images_NCHW[row].min(axis=(1, 2)) for row in good], axis=0)
    high = np.max([images_NCHW[row].max(axis=(1, 2)) for row in good], axis=0)
    count = max(1, min(SAMPLE, SAMPLE_VALUES // images_NCHW[0].size, len(good)))
    chosen = good[np.linspace(0, len(good) - 1, count).astype(np.int64)]
    sample_NCHW = images_NCHW[chosen].astype(np.float64)
    mean, std = sample_NCHW.mean(axis=(0, 2, 3)), sample_NCHW.std(axis=(0, 2, 3))
    centred = sample_NCHW - mean[:, None, None]
    return Measured(
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
        neighbour=_correlation(centred[..., :-1], centred[..., 1:]),
        colour=_correlation(centred[:, 0], centred[:, 1]) if channels >= 3 else None,
        seams={factor: _seam(sample_NCHW, factor) for factor in FACTORS},
        broken=broken,
    )


def space_of(measured: Measured, layout: Layout, *, whole_bytes: bool) -> Space:
    """By the values where they decide, else as the layout's code leaves them. Our own files say what they
    hold: values of noise that was hardly optimised decide nothing.

    Args:
        whole_bytes: the file stores 8-bit whole numbers.
    """
    if layout is OWN:
        return "bytes" if whole_bytes else "normalised"
    low, high = min(measured.low), max(measured.high)
    if whole_bytes or (high > 20 and low > -0.1 * high):
        return "bytes"
    if low >= -0.2 and high <= 1.1:
        return "unit"
    if low < -0.5 and layout.space != "unit":
        return "whitened" if whiteness(measured) == "yes" else "normalised"
    return layout.space


def whiteness(measured: Measured) -> str:
    """ "yes", "perhaps" or "no": how like ZCA-whitened images. Noise that was hardly optimised is, too."""
    if measured.neighbour >= 0.75:
        return "no"
    colours_differ = measured.colour is None or measured.colour < 0.8
    return "yes" if measured.neighbour < 0.7 and colours_differ else "perhaps"


def likely_factor(measured: Measured) -> int:
    """The largest f all of whose seams show, for those of 2 are among those of 4; 1 if there is none."""
    return max((factor for factor, ratio in measured.seams.items() if ratio > SEAM), default=1)


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    scale = float(np.sqrt(np.mean(one**2) * np.mean(other**2)))
    return float(np.mean(one * other)) / scale if scale > 0 else 1.0


def _seam(images_NCHW: NDArray[np.float64], factor: int) -> float:
    """The weakest of the seams, each held against the steps beside it: a centred object has no such edges."""
    ratios = []
    for axis in (2, 3):
        side = images_NCHW.shape[axis]
        if side < 2 * factor:
            return 1.0
        steps = np.abs(np.diff(images_NCHW, axis=axis)).mean(axis=tuple({0, 1, 2, 3} - {axis}))
        tile = -(-side // factor)
        seams = [at * tile - 1 for at in range(1, factor) if at * tile < side]
        for seam in seams:
            near = range(max(0, seam - BESIDE), min(len(steps), seam + BESIDE + 1))
            beside = np.mean([steps[at] for at in near if at not in seams])
            ratios.append(float(steps[seam] / beside) if beside > 0 else 1.0)
    return min(ratios, default=1.0)
