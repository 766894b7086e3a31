"""A candidate for GPUs: an iteration as one function of tensors whose shapes never change.

What the engine decides on the host (which images, which op of each class) becomes numbers here, so that the
whole iteration can be compiled once and replayed as a CUDA graph. The draws are the engine's own. It is
measured by bench/gpu.py and used nowhere else.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.engine.augment import CUTOUT_RATIO, FLIP_PROBABILITY, Augmentation, draw
from core.engine.config import CondenseConfig
from core.engine.images import LabelledImages
from core.engine.networks.build import build
from core.engine.networks.initialise import initialise
from core.engine.sampling import sample
from core.engine.seeds import generator

Embed = Callable[[Tensor], Tensor]
COLUMNS = 11
"""Of a packed augmentation: brightness, saturation, contrast; six of the map from an output pixel to the
point of the input read there (xx, xy, x0, yx, yy, y0); top and left of the hole."""


def pack(augmentations: Sequence[Augmentation], size: tuple[int, int]) -> Tensor:
    """Each op as all of them, the others doing nothing: float32 (C, COLUMNS)."""
    # Python's numbers: the host's time is what an iteration on a GPU waits for.
    return torch.tensor([_packed(a.op, a.values_PK[0].tolist(), *size) for a in augmentations])


def _packed(op: str, values: list[float], height: int, width: int) -> list[float]:
    color, hole = [0.0, 1.0, 1.0], [float(height), float(width)]
    x_map, y_map = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]
    match op:
        case "color":
            color = values
        case "crop":
            y_map[2], x_map[2] = -values[0], -values[1]
        case "cutout":
            sides = (height, width)
            hole = [v - int(side * CUTOUT_RATIO + 0.5) // 2 for v, side in zip(values, sides, strict=True)]
        case "flip" if values[0] < FLIP_PROBABILITY:
            x_map = [-1.0, 0.0, width - 1.0]
        case "scale" | "rotate":
            cos, sin = math.cos(values[0]), math.sin(values[0])
            xx, xy, yx, yy = (values[0], 0.0, 0.0, values[1]) if op == "scale" else (cos, -sin, sin, cos)
            x, y = (width - 1) / 2, (height - 1) / 2
            x_map, y_map = [xx, xy, x - xx * x - xy * y], [yx, yy, y - yx * x - yy * y]
    return [*color, *x_map, *y_map, *hole]


def augment(packed_CK: Tensor, x_CNDHW: Tensor) -> Tensor:
    """N images of each class augmented by the class's row. No gather: the backward is a product too."""
    height, width = x_CNDHW.shape[3:]
    brightness, saturation, contrast = packed_CK[:, :3, None, None, None, None].unbind(1)
    x_CNDHW = x_CNDHW + brightness
    grey_CN1HW = x_CNDHW.mean(dim=2, keepdim=True)
    x_CNDHW = (x_CNDHW - grey_CN1HW) * saturation + grey_CN1HW
    mean_CN111 = x_CNDHW.mean(dim=(2, 3, 4), keepdim=True)
    x_CNDHW = (x_CNDHW - mean_CN111) * contrast + mean_CN111
    flat_CML = x_CNDHW.flatten(3).flatten(1, 2)
    return torch.bmm(flat_CML, _resampling(packed_CK, height, width)).view(x_CNDHW.shape)


def _resampling(packed_CK: Tensor, height: int, width: int) -> Tensor:
    """For each class the bilinear weights of every input pixel (rows) in every output pixel (columns)."""
    column_W = torch.arange(width, device=packed_CK.device, dtype=packed_CK.dtype)
    row_H = torch.arange(height, device=packed_CK.device, dtype=packed_CK.dtype)
    xx, xy, x0, yx, yy, y0, top, left = packed_CK[:, 3:, None, None].unbind(1)
    x_CHW = xx * column_W + xy * row_H[:, None] + x0
    y_CHW = yx * column_W + yy * row_H[:, None] + y0
    down, right = row_H[:, None] - top, column_W - left
    hole_height, hole_width = int(height * CUTOUT_RATIO + 0.5), int(width * CUTOUT_RATIO + 0.5)
    hole_CHW = (down >= 0) & (down < hole_height) & (right >= 0) & (right < hole_width)
    weight_CHWW = (1 - (x_CHW[..., None] - column_W).abs()).clamp(min=0)
    weight_CHWH = (1 - (y_CHW[..., None] - row_H).abs()).clamp(min=0) * ~hole_CHW[..., None]
    weight_CHWHW = weight_CHWH[..., :, None] * weight_CHWW[..., None, :]
    return weight_CHWHW.flatten(3).flatten(1, 2).transpose(1, 2)


@dataclass(kw_only=True)
class Draws:
    """An iteration's choices: indices (C, B) into the real set, packed augmentations (C, COLUMNS)."""

    indices_CB: Tensor
    packed_CK: Tensor


class FixedStep:
    """The iterations of a condensation with a network that couples no samples, all real images on the device.

    Args:
        embed_with: from the network's own embed to the one that is used (precision, layout, compilation).
    """

    def __init__(
        self,
        real: LabelledImages,
        config: CondenseConfig,
        device: torch.device,
        embed_with: Callable[[Embed], Embed],
    ) -> None:
        self.real, self.config, self.device = real, config, device
        assert isinstance(real.images_NHWC, Tensor)
        self.pixels_NHWC = real.images_NHWC
        self.std_D11, self.mean_D11 = (
            torch.tensor(values, device=device).view(-1, 1, 1) for values in (real.std, real.mean)
        )
        chance = generator(config.seed, 0, "network", device)
        network = build(config.network, real.channels, real.size, real.num_classes, chance)
        assert not network.couples_samples
        self.network = network.requires_grad_(False)
        self.embed = embed_with(network.embed)

    def draws(self, iteration: int) -> Draws:
        """Those of the engine in this iteration, on the CPU."""
        real, config = self.real, self.config
        real_chance = generator(config.seed, iteration, "real batch")
        augment_chance = generator(config.seed, iteration, "augmentation")
        chosen = [sample(real.indices_by_class[c], config.batch_real, real_chance) for c in real.classes]
        augmentations = [draw(config.augment, augment_chance, real.size) for _ in real.classes]
        return Draws(indices_CB=torch.stack(chosen), packed_CK=pack(augmentations, real.size))

    def renew(self, iteration: int) -> None:
        """The network of this iteration, in place."""
        initialise(self.network, generator(self.config.seed, iteration, "network", self.device))

    def loss_and_gradient(self, draws: Draws, images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """As the engine computes them. Tensors on the device; nothing here waits for it."""
        classes, batch = draws.indices_CB.shape
        with torch.no_grad():
            pixels_NHWC = self.pixels_NHWC[draws.indices_CB.flatten()]
            x_NDHW = pixels_NHWC.permute(0, 3, 1, 2).contiguous().float()
            x_NDHW = x_NDHW * (1 / (255 * self.std_D11)) - self.mean_D11 / self.std_D11
            real_CF = self._mean_features(draws.packed_CK, x_NDHW.view(classes, batch, *x_NDHW.shape[1:]))
        leaf_NCHW = images_NCHW.detach().requires_grad_()
        own_CF = self._mean_features(draws.packed_CK, leaf_NCHW.view(classes, -1, *leaf_NCHW.shape[1:]))
        loss = (real_CF - own_CF).square().sum()
        (gradient_NCHW,) = torch.autograd.grad(loss, leaf_NCHW)
        return loss.detach(), gradient_NCHW

    def _mean_features(self, packed_CK: Tensor, x_CNDHW: Tensor) -> Tensor:
        augmented_CNDHW = augment(packed_CK, x_CNDHW)
        features_NF = self.embed(augmented_CNDHW.flatten(0, 1))
        return features_NF.view(*x_CNDHW.shape[:2], -1).mean(dim=1)
