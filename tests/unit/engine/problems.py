"""Small made-up data sets with a known answer."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from core.engine.images import LabelledImages
from core.engine.seeds import generator
from core.engine.state import CondenseState


def random_images(
    per_class: tuple[int, ...] = (12, 12, 12),
    *,
    size: tuple[int, int] = (16, 16),
    channels: int = 1,
    seed: int = 0,
) -> LabelledImages:
    """Noise, class after class shuffled together."""
    chance = np.random.default_rng(seed)
    labels_N = chance.permutation(np.repeat(np.arange(len(per_class)), per_class)).astype(np.int64)
    images_NHWC = chance.integers(0, 256, (len(labels_N), *size, channels), dtype=np.uint8)
    return LabelledImages(images_NHWC, labels_N, (0.4,) * channels, (0.25,) * channels, len(per_class))


def bright_quarters(per_class: int, *, seed: int, classes: int = 4) -> LabelledImages:
    """Class c has one bright quarter of the image, under noise: easy for any network that sees places."""
    images = random_images((per_class,) * classes, seed=seed)
    pixels_NHWC = np.asarray(images.images_NHWC) // 2
    for i, label in enumerate(np.asarray(images.labels_N)):
        rows, columns = 8 * (label // 2), 8 * (label % 2)
        pixels_NHWC[i, rows : rows + 8, columns : columns + 8] += 90
    return LabelledImages(pixels_NHWC, images.labels_N, images.mean, images.std, classes)


def with_tensor(state: CondenseState, name: str, tensor: Tensor) -> CondenseState:
    """The same with another tensor of this name."""
    return replace(state, tensors={**state.tensors, name: tensor})


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator(0, 0, "noise"))
