"""Sets as published code leaves them: smooth images, so that they look like optimised ones of real data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from core.condensed.published.found import Found
from core.condensed.published.limits import PublishedLimits
from core.condensed.published.read import read
from core.condensed.published.stated import Facts
from core.errors import DataError

LIMITS = PublishedLimits()
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
TRUE_STD = (0.2470, 0.2435, 0.2616)
CLASSES = ("airplane", "automobile", "bird", "cat", "deer")
FACTS = Facts(classes=CLASSES, channels=3, height=16, width=16, mean=MEAN, std=TRUE_STD)
READ = Callable[..., Found]


def pixels(count: int = 10, *, channels: int = 3, side: int = 16, seed: int = 0) -> NDArray[np.float32]:
    """In [0, 1], NCHW, float32: smooth as pictures are, the channels nearly alike, both ends touched."""
    generator = np.random.default_rng(seed)
    coarse = generator.random((count, 1, 4, 4)) + 0.05 * generator.random((count, channels, 4, 4))
    large = torch.nn.functional.interpolate(torch.from_numpy(coarse), size=side, mode="bilinear").numpy()
    low = large.min(axis=(0, 2, 3), keepdims=True)
    spread = large.max(axis=(0, 2, 3), keepdims=True) - low
    flat = (large - low) / spread
    # A power keeps both ends, and brings the mean to that of CIFAR-10.
    for channel in range(channels):
        powers = np.linspace(0.5, 2.5, 401)
        means = np.array([np.mean(flat[:, channel] ** power) for power in powers])
        flat[:, channel] **= powers[np.abs(means - MEAN[channel]).argmin()]
    return np.asarray(flat, np.float32)


def normalised(
    images_NCHW: NDArray[np.float32], mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD
) -> NDArray[np.float32]:
    shape = (1, -1, 1, 1)
    shift, scale = (np.asarray(values, np.float32).reshape(shape) for values in (mean, std))
    return np.asarray((images_NCHW - shift) / scale, np.float32)


def labels(per_class: int = 2, classes: int = len(CLASSES)) -> NDArray[np.int64]:
    """Class-major."""
    return np.repeat(np.arange(classes, dtype=np.int64), per_class)


def tensors(images: NDArray[Any], hard: NDArray[Any]) -> list[torch.Tensor]:
    return [torch.tensor(images), torch.tensor(hard)]


@pytest.fixture
def read_file(tmp_path: Path) -> READ:
    """`read` with a folder to work in."""
    work = tmp_path / "work"
    work.mkdir()

    def call(path: Path, *, limits: PublishedLimits = LIMITS, experiment: int | None = None) -> Found:
        return read(path, limits=limits, work=work, experiment=experiment)

    return call


def same(found: NDArray[Any], expected: NDArray[Any]) -> bool:
    return (found.dtype, found.shape, found.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())


def refused(read_file: READ, path: Path, **options: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        read_file(path, **options)
    return caught.value
