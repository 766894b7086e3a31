"""From a reader's batches to square images, a step ahead of whoever writes them."""

import functools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.data.canonical.decode import UndecodableImage, decode, square_array
from core.data.limits import Limits
from core.data.source import BATCH_ROWS, EncodedBatch, Source

# Each thread may hold one image at the pixel limit, so memory and not cores bounds their number.
MOST_THREADS = 8
#: Batches that are decoded while earlier ones are written and later ones read: keeps every core busy.
AHEAD = 2


@dataclass(frozen=True, kw_only=True)
class SquareBatch:
    """Square images (N, S, S, C) of the rows (N,) of the source; `drawn` counts those skipped, too."""

    rows: NDArray[np.int64]
    images_NHWC: NDArray[np.uint8]
    drawn: int


def square_batches(
    source: Source, rows: NDArray[np.int64], *, image_size: int, channels: int, limits: Limits
) -> Iterator[SquareBatch]:
    """The given rows in order; files that cannot be decoded are added to `source.skipped`.

    Raises:
        DataError: what the reader raises, or `limit_exceeded`.
    """
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS))
    begun: deque[Callable[[], SquareBatch]] = deque()
    try:
        for finish in _begin(pool, source, rows, image_size, channels, limits):
            begun.append(finish)
            if len(begun) > AHEAD:
                yield begun.popleft()()
        while begun:
            yield begun.popleft()()
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(
    pool: Executor, source: Source, rows: NDArray[np.int64], size: int, channels: int, limits: Limits
) -> Iterator[Callable[[], SquareBatch]]:
    """Hand each batch to the pool; what is yielded waits for it."""
    for batch in source.batches(rows):
        if isinstance(batch, EncodedBatch):
            one = functools.partial(_decode_or_reason, size=size, channels=channels, limits=limits)
            results = [pool.submit(one, *file) for file in zip(batch.files, batch.names, strict=True)]
            yield functools.partial(_collect, batch, results, size, channels, source)
            continue
        # In pieces, because enlarging a reader's block may multiply its bytes by hundreds.
        for start in range(0, len(batch.rows), BATCH_ROWS):
            piece = slice(start, start + BATCH_ROWS)
            yield pool.submit(_square_all, batch.rows[piece], batch.images_NHWC[piece], size, channels).result


def _decode_or_reason(
    data: bytes, name: str, *, size: int, channels: int, limits: Limits
) -> NDArray[np.uint8] | str:
    try:
        return decode(data, name=name, image_size=size, channels=channels, limits=limits)
    except UndecodableImage as error:
        return str(error)


def _collect(
    batch: EncodedBatch,
    results: Iterable[Future[NDArray[np.uint8] | str]],
    size: int,
    channels: int,
    source: Source,
) -> SquareBatch:
    good, images = [], []
    for i, future in enumerate(results):
        result = future.result()
        if isinstance(result, str):
            source.skipped.add(batch.names[i], result)
        else:
            good.append(i)
            images.append(result)
    stacked = _stack(images, size, channels)
    return SquareBatch(rows=batch.rows[good], images_NHWC=stacked, drawn=len(batch.rows))


def _square_all(
    rows: NDArray[np.int64], images_NHWC: NDArray[np.uint8], size: int, channels: int
) -> SquareBatch:
    if images_NHWC.shape[1:] != (size, size, channels):
        squares = (square_array(one, image_size=size, channels=channels) for one in images_NHWC)
        images_NHWC = _stack(squares, size, channels)
    return SquareBatch(rows=rows, images_NHWC=images_NHWC, drawn=len(rows))


def _stack(images: Iterable[NDArray[np.uint8]], size: int, channels: int) -> NDArray[np.uint8]:
    return np.array(list(images), np.uint8).reshape(-1, size, size, channels)
