"""A labelled set of real images, left as uint8 where it lies and normalised batch by batch."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core.engine.config import CHANNELS, MIN_IMAGE_SIZE

UPLOAD_ROWS = 4096
"""Images copied to a device at a time."""


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images with one class each.

    Args:
        images_NHWC: uint8. A memory-mapped array is read by rows, never whole; a tensor stays on its device.
        labels_N: int64 in [0, num_classes). Classes without an image are allowed.
        mean, std: per channel, of pixels scaled to [0, 1].
        num_classes: at least 1.

    Raises:
        ValueError: a shape, type or value that does not fit.
    """

    images_NHWC: npt.NDArray[np.uint8] | Tensor
    labels_N: npt.NDArray[np.int64] | Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]
    num_classes: int
    indices_by_class: tuple[Tensor, ...] = field(init=False, repr=False)
    """For each class the ascending int64 indices of its images."""

    def __post_init__(self) -> None:
        _check_images(self.images_NHWC)
        labels_N = _checked_labels(self.labels_N, len(self.images_NHWC), self.num_classes)
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels or not all(math.isfinite(v) for v in values):
                raise ValueError(f"{name}: {values!r} is not {self.channels} finite numbers, one per channel")
        if min(self.std) <= 0:
            raise ValueError(f"std: {self.std!r} must be greater than 0 in every channel")
        order_N = torch.argsort(labels_N, stable=True)
        counts = torch.bincount(labels_N, minlength=self.num_classes).tolist()
        object.__setattr__(self, "labels_N", labels_N)
        object.__setattr__(self, "indices_by_class", torch.split(order_N, counts))

    def __len__(self) -> int:
        return len(self.images_NHWC)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return int(self.images_NHWC.shape[1]), int(self.images_NHWC.shape[2])

    @property
    def channels(self) -> int:
        return int(self.images_NHWC.shape[3])

    @property
    def classes(self) -> tuple[int, ...]:
        """The classes that have at least one image, ascending."""
        return tuple(c for c, indices in enumerate(self.indices_by_class) if len(indices))

    def labels(self, indices_N: Tensor, device: torch.device | str) -> Tensor:
        """int64 labels of the images at `indices_N`."""
        return torch.as_tensor(self.labels_N)[indices_N].to(device, non_blocking=True)

    def normalised(self, indices_N: Tensor, device: torch.device | str) -> Tensor:
        """float32 NCHW of the images at `indices_N`: (pixel / 255 - mean) / std."""
        if isinstance(self.images_NHWC, Tensor):
            batch_NHWC = self.images_NHWC[indices_N.to(self.images_NHWC.device, non_blocking=True)]
        else:
            batch_NHWC = torch.from_numpy(np.asarray(self.images_NHWC[indices_N.numpy()]))
        # uint8 crosses to the device, a quarter of the bytes of float32.
        x_NCHW = batch_NHWC.to(device, non_blocking=True).permute(0, 3, 1, 2)
        x_NCHW = x_NCHW.to(torch.float32, memory_format=torch.contiguous_format)
        # Made on the host: a tensor made on a GPU from numbers waits for all work before it.
        std_C11 = torch.tensor(self.std).to(device, non_blocking=True).view(-1, 1, 1)
        mean_C11 = torch.tensor(self.mean).to(device, non_blocking=True).view(-1, 1, 1)
        return x_NCHW.mul_(1 / (255 * std_C11)).sub_(mean_C11 / std_C11)


def clamped(x_NCHW: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Normalised images with every pixel brought back into [0, 1]."""
    mean_C11, std_C11 = (torch.tensor(values).to(x_NCHW).view(-1, 1, 1) for values in (mean, std))
    return x_NCHW.clamp(-mean_C11 / std_C11, (1 - mean_C11) / std_C11)


def resident(images: LabelledImages, device: torch.device | str) -> LabelledImages:
    """The set with its pixels on the device, where they stay as uint8.

    On CUDA, if they take at most half of the memory that is free there; else, and elsewhere, the set as it
    is.
    """
    device = torch.device(device)
    on_cuda = isinstance(images.images_NHWC, Tensor) and images.images_NHWC.is_cuda
    if device.type != "cuda" or on_cuda:
        return images
    free, _ = torch.cuda.mem_get_info(device)
    if math.prod(images.images_NHWC.shape) > free // 2:
        return images
    return replace(images, images_NHWC=_uploaded(images.images_NHWC, device))


def _uploaded(images_NHWC: npt.NDArray[np.uint8] | Tensor, device: torch.device) -> Tensor:
    """A copy on the device, made part by part: a memory map is never whole on the host."""
    uploaded_NHWC = torch.empty(tuple(images_NHWC.shape), dtype=torch.uint8, device=device)
    for first in range(0, len(images_NHWC), UPLOAD_ROWS):
        part = images_NHWC[first : first + UPLOAD_ROWS]
        # A copy: the array may be a read-only map, which torch cannot hold.
        part_NHWC = part if isinstance(part, Tensor) else torch.from_numpy(np.array(part))
        uploaded_NHWC[first : first + UPLOAD_ROWS] = part_NHWC.to(device)
    return uploaded_NHWC


def _check_images(images_NHWC: npt.NDArray[np.uint8] | Tensor) -> None:
    shape = tuple(images_NHWC.shape)
    if images_NHWC.dtype not in (np.uint8, torch.uint8):
        raise ValueError(f"images: type {images_NHWC.dtype} is not uint8")
    if len(shape) != 4 or shape[0] == 0 or shape[3] not in CHANNELS:
        raise ValueError(f"images: shape {shape} is not (N > 0, height, width, channels in {CHANNELS})")
    if min(shape[1:3]) < MIN_IMAGE_SIZE:
        raise ValueError(f"images: {shape[1]}x{shape[2]} px is smaller than {MIN_IMAGE_SIZE} px a side")


def _checked_labels(labels_N: npt.NDArray[np.int64] | Tensor, count: int, num_classes: int) -> Tensor:
    if num_classes < 1:
        raise ValueError(f"num_classes: {num_classes} is smaller than 1")
    if labels_N.dtype not in (np.int64, torch.int64):
        raise ValueError(f"labels: type {labels_N.dtype} is not int64")
    if tuple(labels_N.shape) != (count,):
        raise ValueError(f"labels: shape {tuple(labels_N.shape)} is not ({count},), one per image")
    # A copy: the array may be a read-only map, which torch cannot hold.
    labels_N = labels_N.cpu() if isinstance(labels_N, Tensor) else torch.from_numpy(np.array(labels_N))
    low, high = int(labels_N.min()), int(labels_N.max())
    if low < 0 or high >= num_classes:
        raise ValueError(f"labels: {low} to {high} found, outside 0 to {num_classes - 1}")
    return labels_N
