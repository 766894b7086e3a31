"""Collages: f × f small images in the place of one, each enlarged to the full size when it is trained on.

Kim et al., "Dataset Condensation via Efficient Synthetic-Data Parameterization", ICML 2022,
https://arxiv.org/abs/2205.14959 (multi-formation).
"""

import functools
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from core.engine.config import CondenseConfig
from core.engine.images import LabelledImages, clamped
from core.engine.sampling import sample

GREY = 0.5
"""Of pixels in [0, 1], what pads an image whose side the factor does not divide."""


class Collage:
    """images_NCHW: ipc collages for each class, at the real images' size."""

    parameters: Mapping[str, str] = {"images_NCHW": "velocity_NCHW"}

    def __init__(self, real: LabelledImages, config: CondenseConfig) -> None:
        self._real, self._config = real, config

    def shapes(self) -> dict[str, tuple[int, ...]]:
        count = len(self._real.classes) * self._config.ipc
        return {"images_NCHW": (count, self._real.channels, *self._real.size)}

    def initial(self, chance: torch.Generator, device: torch.device | str) -> dict[str, Tensor]:
        """Each tile a random real image of the class, no two the same while there are others; or noise."""
        real, config = self._real, self._config
        if config.init == "noise":
            return {"images_NCHW": torch.randn(self.shapes()["images_NCHW"], generator=chance).to(device)}
        chosen = [sample(real.indices_by_class[c], config.images_per_class, chance) for c in real.classes]
        return {"images_NCHW": collages_of(real, torch.cat(chosen), config.ipc, config.factor, device)}

    def stored(self, tensors: Mapping[str, Tensor]) -> Tensor:
        return tensors["images_NCHW"]

    def clamped(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"images_NCHW": clamped(tensors["images_NCHW"], self._real.mean, self._real.std)}

    def decode(self, tensors: Mapping[str, Tensor]) -> Tensor:
        return decode(tensors["images_NCHW"], self._config.factor, grey(self._real))


def collages_of(
    real: LabelledImages, indices_N: Tensor, ipc: int, factor: int, device: torch.device | str
) -> Tensor:
    """ipc collages for each class, NCHW, class-major, of f² · ipc real images for each class, class-major."""
    by_class = indices_N.view(len(real.classes), factor**2, ipc)
    return encode(real.normalised(by_class.transpose(0, 1).flatten(), device), factor)


def grey(real: LabelledImages) -> Tensor:
    """What pads collages, by channel, in the space of normalised images."""
    return (GREY - torch.tensor(real.mean)) / torch.tensor(real.std)


def encode(images_NCHW: Tensor, factor: int) -> Tensor:
    """Collages of images, which come tile-major: N collages of f² · N images.

    Each image is shrunk to its tile by averaging. Where the factor does not divide a side, the last row or
    column of tiles is cut off at the collage's edge.
    """
    count, (height, width) = len(images_NCHW) // factor**2, images_NCHW.shape[2:]
    tall, wide = -(-height // factor), -(-width // factor)
    rows_TH, columns_TW = (_averaging(*sides).to(images_NCHW) for sides in ((height, tall), (width, wide)))
    small_NCHW = rows_TH @ images_NCHW @ columns_TW.T
    tiles = small_NCHW.view(factor, factor, count, -1, tall, wide)
    collages = tiles.permute(2, 3, 0, 4, 1, 5).reshape(count, -1, factor * tall, factor * wide)
    return collages[:, :, :height, :width].contiguous()


def decode(collages_NCHW: Tensor, factor: int, grey_C: Tensor) -> Tensor:
    """The f² · N images of N collages, tile-major; differentiable.

    Tiles lie in rows, on a grid of ceil(side / f); where the factor does not divide a side, the collage is
    first padded at its bottom and right. Each tile is enlarged bilinearly (align_corners False, no
    antialias).

    Args:
        grey_C: what is padded with, by channel.
    """
    count, channels, height, width = collages_NCHW.shape
    tall, wide = -(-height // factor), -(-width // factor)
    grey_C11 = grey_C.to(collages_NCHW).view(-1, 1, 1)
    more = (0, factor * wide - width, 0, factor * tall - height)
    padded_NCHW = pad(collages_NCHW - grey_C11, more) + grey_C11 if any(more) else collages_NCHW
    grid = padded_NCHW.reshape(count, channels, factor, tall, factor, wide).permute(2, 4, 0, 1, 3, 5)
    tiles_NCHW = grid.reshape(-1, channels, tall, wide)
    rows_HT, columns_WT = (_bilinear(*sides).to(tiles_NCHW) for sides in ((tall, height), (wide, width)))
    # Two products, and not `interpolate`, whose backward pass has no fixed order of addition on CUDA.
    images_NCHW: Tensor = rows_HT @ tiles_NCHW @ columns_WT.T
    return images_NCHW


@functools.cache
def _bilinear(small: int, large: int) -> Tensor:
    """(large, small): a line of pixels enlarged."""
    return interpolate(torch.eye(small)[None], size=large, mode="linear")[0].T.contiguous()


@functools.cache
def _averaging(large: int, small: int) -> Tensor:
    """(small, large): a line of pixels shrunk, each new one the mean of what lies under it."""
    edges = torch.arange(small + 1, dtype=torch.float64) * large / small
    at = torch.arange(large, dtype=torch.float64)
    covered = torch.minimum(edges[1:, None], at + 1) - torch.maximum(edges[:-1, None], at)
    return (covered.clamp(min=0) * small / large).float()
