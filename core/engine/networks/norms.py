"""The norms that need to know no more than the number of channels."""

from torch import nn

from core.engine.config import NORM_GROUPS


def norm_layers(name: str, channels: int) -> list[nn.Module]:
    """The layers of a norm on NCHW maps, affine: one, or none for "none".

    Raises:
        ValueError: another norm.
    """
    match name:
        case "none":
            return []
        case "batch":
            return [nn.BatchNorm2d(channels)]
        case "instance":
            return [nn.GroupNorm(channels, channels)]
        case "group":
            return [nn.GroupNorm(NORM_GROUPS, channels)]
    raise ValueError(f"norm: {name!r} is unknown")
