"""What a published file holds, before anything is decided about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.condensed.published.labels import LabelKind, Labels, labels_of
from core.condensed.published.layouts import Layout, Space
from core.condensed.published.measured import Measured, measure, space_of
from core.errors import DataError

CHANNELS = (1, 3, 4)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Arrays of our own, contiguous, that share no memory with what was loaded.

    Attributes:
        layout: which of the published ones.
        images_NCHW: float32 as stored: neither normalised, nor clamped, nor decoded.
        labels: int64 (N,), or float32 (N, C) scores, or None; `label_kind` says which.
        space: what the pixels are, by their values and the layout.
        measured: the measurements behind that.
        experiments, experiment: how many sets the file holds, and which of them this is.
        classes, mean, std, card: as the file states them, if it does (our own formats).
        factor: f of collages that are still to be decoded, if the file says that it holds such.
        dropped: what else the file held, by name, and was not kept.
        notes: sentences on what was done to the arrays.
    """

    layout: Layout
    images_NCHW: NDArray[np.float32]
    labels: Labels
    label_kind: LabelKind
    space: Space
    measured: Measured
    experiments: int = 1
    experiment: int = 0
    classes: tuple[str, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    card: Mapping[str, Any] | None = None
    factor: int | None = None
    dropped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def found(
    layout: Layout,
    images: NDArray[Any],
    labels: NDArray[Any] | None,
    *,
    channels_last: bool = False,
    notes: Sequence[str] = (),
    **stated: Any,
) -> Found:
    """`images` in any axes and dtype, checked, copied and measured.

    Args:
        stated: further fields of Found.

    Raises:
        DataError: `unsupported_shape`, `unsupported_dtype` or `label_mismatch`.
    """
    if images.ndim != 4 or 0 in images.shape:
        raise DataError(
            f"the images are of shape {images.shape}; a set is (N, channels, height, width) without an"
            " empty axis",
            code="unsupported_shape",
        )
    if images.dtype.kind not in "fu" or (images.dtype.kind == "u" and images.dtype.itemsize != 1):
        raise DataError(
            f"the images are {images.dtype}; floats and 8-bit whole numbers are read",
            code="unsupported_dtype",
        )
    if channels_last:
        images = images.transpose(0, 3, 1, 2)
    if images.shape[1] not in CHANNELS:
        raise DataError(
            f"the images are of shape {images.shape}: {images.shape[1]} channels; 1, 3 or 4 are read",
            code="unsupported_shape",
        )
    remarks = list(notes)
    if images.dtype not in (np.float32, np.uint8):
        remarks.append(f"pixels were stored as {images.dtype} and are read as float32")
    whole_bytes = images.dtype == np.uint8
    with np.errstate(over="ignore"):  # what no float32 holds becomes infinite, and is refused as that
        images_NCHW = np.array(images, np.float32, order="C")
    kept, kind = (None, "absent") if labels is None else labels_of(labels, len(images), layout.name)
    if labels is not None and kind == "hard" and labels.dtype != np.int64:
        remarks.append(f"labels were stored as {labels.dtype} and are read as whole numbers")
    measured = measure(images_NCHW)
    return Found(
        layout=layout,
        images_NCHW=images_NCHW,
        labels=kept,
        label_kind=kind,
        space=space_of(measured, layout, whole_bytes=bool(whole_bytes)),
        measured=measured,
        notes=tuple(remarks),
        **stated,
    )


def channels_last(shape: tuple[int, ...], where: str) -> bool:
    """Whether the axes are N, H, W, C, where a layout leaves it open.

    Raises:
        DataError: `ambiguous_axes`, both could be.
    """
    first, last = shape[1] in CHANNELS, shape[-1] in CHANNELS
    if first and last:
        raise DataError(
            f"the images of {where} are of shape {shape}: the channels may be the second or the last axis."
            " Save"
            " them as (N, channels, height, width) in a list, [images, labels], by torch.save",
            code="ambiguous_axes",
        )
    return last
