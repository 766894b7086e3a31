"""Images out of a C-ordered array that arrives as a stream of bytes."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from core.data.containers.inflate import ByteStream
from core.data.limits import Limits, check_limit
from core.data.source import PixelBatch
from core.errors import DataError

BLOCK_BYTES = 8 * 1024**2


def stream_rows(
    stream: ByteStream,
    *,
    shape: Sequence[int],
    channels_first: bool,
    first_row: int,
    rows: NDArray[np.int64],
    member: str,
    dtype: str = "|u1",
) -> Iterator[PixelBatch]:
    """The chosen rows of an array (N, H, W), (N, H, W, C) or (N, C, H, W).

    Args:
        stream: positioned at the array's first byte.
        first_row: the row number of the array's first image in the source.
        rows: ascending row numbers of the source; those outside this array are ignored.
        dtype: uint8, or uint16, which keeps its high byte.

    Raises:
        DataError: `corrupt_array` if the stream holds fewer or more bytes than the shape says.
    """
    count, *item_shape = shape
    item_bytes = int(np.prod(item_shape, dtype=object)) * np.dtype(dtype).itemsize
    block_rows = max(1, BLOCK_BYTES // item_bytes)
    wanted = rows[(rows >= first_row) & (rows < first_row + count)]
    if not len(wanted):
        return
    for start in range(0, count, block_rows):
        block = min(block_rows, count - start)
        data = stream.read(block * item_bytes)
        if len(data) != block * item_bytes:
            raise DataError(
                f"{member!r} holds fewer bytes than its shape {tuple(shape)} needs",
                code="corrupt_array",
                member=member,
            )
        begin, end = np.searchsorted(wanted, [first_row + start, first_row + start + block])
        chosen = wanted[begin:end]
        if len(chosen):
            images = np.frombuffer(data, dtype).reshape(block, *item_shape)[chosen - first_row - start]
            if images.dtype.itemsize == 2:
                images = images >> 8
            levels = images.astype(np.uint8, copy=False)
            yield PixelBatch(rows=chosen, images_NHWC=_channels_last(levels, channels_first))
    if stream.read(1):
        raise DataError(
            f"{member!r} holds more bytes than its shape {tuple(shape)} needs",
            code="corrupt_array",
            member=member,
        )


def _channels_last(images: NDArray[np.uint8], channels_first: bool) -> NDArray[np.uint8]:
    if images.ndim == 3:
        return images[..., None]
    return images.transpose(0, 2, 3, 1) if channels_first else images


def check_image_shape(count: int, height: int, width: int, *, limits: Limits, member: str) -> None:
    """Hold an array's shape against the limits before anything of that size is allocated."""
    check_limit("images", count, limits.images, member)
    check_limit("image_pixels", height * width, limits.image_pixels, member)
    if not count or not height or not width:
        raise DataError(f"{member!r} holds no images: its shape has a zero", code="no_images", member=member)
