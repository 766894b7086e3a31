"""Differentiable Siamese augmentation (Zhao & Bilen, arXiv 2102.08259), in normalised space.

One op, drawn uniformly from the strategy, for a whole call; or a chain of several, as work after DM has it.
Drawing the parameters and applying them are separate, so that the real and the synthetic side of a class can
be given the very same ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.engine.config import parse_augment
from core.engine.resample import affine_resample

CROP_RATIO = 0.125
CUTOUT_RATIO = 0.5
FLIP_PROBABILITY = 0.5
SCALE_RATIO = 1.2
ROTATE_DEGREES = 15.0


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """An op with its parameters.

    `values_PK` is float64 on the CPU: K parameters of the op for each image, or for all of them (P = 1).
    color: brightness, saturation, contrast. crop: shift down, shift right in px. cutout: centre row, centre
    column. flip: one number, flipped if below .5. scale: x, y (below 1 enlarges). rotate: radians.
    """

    op: str
    values_PK: Tensor


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Augmentations that images go through one after the other."""

    steps: tuple[Augmentation, ...]


def draw_chain(ops: Sequence[str], chance: torch.Generator, size: tuple[int, int]) -> Chain:
    """Each of the ops, in this order, with one set of parameters for every image of any batch (matching).

    Args:
        chance: on the CPU.
        size: height and width of the images that it will be applied to.
    """
    return Chain(steps=tuple(draw(op, chance, size) for op in ops))


def draw(
    strategy: str, generator: torch.Generator, size: tuple[int, int], count: int | None = None
) -> Augmentation:
    """Draw one op and its parameters.

    Args:
        strategy: op names joined by "_", or "none".
        generator: on the CPU.
        size: height and width of the images that it will be applied to.
        count: None draws one set of parameters, shared by every image of any batch (matching); a number
            draws one for each of so many images (evaluation).
    """
    ops = parse_augment(strategy)
    if not ops:
        return Augmentation(op="none", values_PK=torch.empty(1, 0, dtype=torch.float64))
    op = ops[int(torch.randint(len(ops), (1,), generator=generator))]
    rows = 1 if count is None else count

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(rows, dtype=torch.float64, generator=generator) * (high - low) + low

    def whole(low: int, high: int) -> Tensor:
        return torch.randint(low, high + 1, (rows,), generator=generator).double()

    match op:
        case "color":
            columns = [uniform(-0.5, 0.5), uniform(0, 2), uniform(0.5, 1.5)]
        case "crop":
            columns = [whole(-_part(side, CROP_RATIO), _part(side, CROP_RATIO)) for side in size]
        case "cutout":
            # A hole of even side is centred on an edge between pixels, of which there is one more.
            columns = [whole(0, side - _part(side, CUTOUT_RATIO) % 2) for side in size]
        case "flip":
            columns = [uniform(0, 1)]
        case "scale":
            columns = [uniform(1 / SCALE_RATIO, SCALE_RATIO) for _ in "xy"]
        case "rotate":
            limit = torch.pi * ROTATE_DEGREES / 180
            columns = [uniform(-limit, limit)]
        case _:
            raise ValueError(f"augment: op {op!r} is unknown")
    return Augmentation(op=op, values_PK=torch.stack(columns, dim=1))


def apply(augmentation: Augmentation | Chain, x_NCHW: Tensor) -> Tensor:
    """The augmented images, differentiable in `x_NCHW`.

    Raises:
        ValueError: parameters for another number of images.
    """
    if isinstance(augmentation, Chain):
        for step in augmentation.steps:
            x_NCHW = apply(step, x_NCHW)
        return x_NCHW
    values_PK = augmentation.values_PK
    if len(values_PK) not in (1, len(x_NCHW)):
        raise ValueError(f"augmentation drawn for {len(values_PK)} images, applied to {len(x_NCHW)}")
    values = values_PK.to(x_NCHW.device, x_NCHW.dtype, non_blocking=True).unbind(1)
    match augmentation.op:
        case "none":
            return x_NCHW
        case "color":
            return _color(x_NCHW, *values)
        case "crop":
            return _crop(x_NCHW, *values)
        case "cutout":
            return _cutout(x_NCHW, *values)
        case "flip":
            return torch.where(_per_image(values[0]) < FLIP_PROBABILITY, x_NCHW.flip(3), x_NCHW)
        case "scale":
            zero_P = torch.zeros_like(values[0])
            return affine_resample(x_NCHW, _matrix(values[0], zero_P, zero_P, values[1]))
        case "rotate":
            return _rotate(x_NCHW, values[0])
    raise ValueError(f"augment: op {augmentation.op!r} is unknown")


def _part(side: int, ratio: float) -> int:
    """A share of an image's side, rounded to whole pixels as the official code does."""
    return int(side * ratio + 0.5)


def _per_image(values_P: Tensor) -> Tensor:
    return values_P.view(-1, 1, 1, 1)


def _color(x_NCHW: Tensor, brightness_P: Tensor, saturation_P: Tensor, contrast_P: Tensor) -> Tensor:
    x_NCHW = x_NCHW + _per_image(brightness_P)
    grey_N1HW = x_NCHW.mean(dim=1, keepdim=True)
    x_NCHW = (x_NCHW - grey_N1HW) * _per_image(saturation_P) + grey_N1HW
    mean_N111 = x_NCHW.mean(dim=(1, 2, 3), keepdim=True)
    return (x_NCHW - mean_N111) * _per_image(contrast_P) + mean_N111


def _crop(x_NCHW: Tensor, down_P: Tensor, right_P: Tensor) -> Tensor:
    """Shift the image; what comes in from outside is zero."""
    for dim, shift_P in ((2, down_P), (3, right_P)):
        side = x_NCHW.shape[dim]
        source_PS = torch.arange(side, device=x_NCHW.device) - shift_P.long()[:, None]
        inside_PS = (source_PS >= 0) & (source_PS < side)
        shape = (-1, 1, side, 1) if dim == 2 else (-1, 1, 1, side)
        index = source_PS.clamp(0, side - 1).view(shape).expand(x_NCHW.shape)
        x_NCHW = x_NCHW.gather(dim, index) * inside_PS.view(shape)
    return x_NCHW


def _cutout(x_NCHW: Tensor, row_P: Tensor, column_P: Tensor) -> Tensor:
    """Zero a rectangle of half the height and half the width, cut off where it passes the border."""
    holes = []
    for dim, centre_P in ((2, row_P), (3, column_P)):
        side = x_NCHW.shape[dim]
        first_P1 = (centre_P.long() - _part(side, CUTOUT_RATIO) // 2)[:, None]
        at_S = torch.arange(side, device=x_NCHW.device)
        holes.append((at_S >= first_P1) & (at_S < first_P1 + _part(side, CUTOUT_RATIO)))
    hole_P1HW = holes[0][:, None, :, None] & holes[1][:, None, None, :]
    return x_NCHW * ~hole_P1HW


def _rotate(x_NCHW: Tensor, angle_P: Tensor) -> Tensor:
    cos_P, sin_P = angle_P.cos(), angle_P.sin()
    # The unit of each axis is half its side, so without this ratio an oblong image would be sheared.
    aspect = (x_NCHW.shape[2] - 1) / (x_NCHW.shape[3] - 1)
    return affine_resample(x_NCHW, _matrix(cos_P, -sin_P * aspect, sin_P / aspect, cos_P))


def _matrix(xx_P: Tensor, xy_P: Tensor, yx_P: Tensor, yy_P: Tensor) -> Tensor:
    return torch.stack([xx_P, xy_P, yx_P, yy_P], dim=1).view(-1, 2, 2)
