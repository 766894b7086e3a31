"""How many channels the canonical images get."""

from dataclasses import dataclass

from core.errors import InvalidRequest

CHANNELS = (1, 3, 4)


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """`origin` is "requested" or "native"; `rule` says in words what is done to the images."""

    channels: int
    origin: str
    rule: str


def choose_channels(native: int, requested: int | None) -> Conversion:
    """The number asked for; else the set's own.

    Args:
        native: 1 if every image is grey, 4 for arrays of four channels, else 3.

    Raises:
        InvalidRequest: `invalid_channels`.
    """
    if requested is not None and requested not in CHANNELS:
        raise InvalidRequest(
            f"channels is {requested}; it must be 1, 3 or 4",
            code="invalid_channels",
            pointer="/channels",
            value=requested,
        )
    channels = native if requested is None else requested
    match native, channels:
        case (1, 1):
            rule = "kept: every image is grey"
        case (4, 4):
            rule = "none: the arrays have four channels"
        case (_, 4):
            rule = "red, green, blue and opacity; opaque where an image has none"
        case (_, 1):
            rule = "luma (0.299 R + 0.587 G + 0.114 B); transparency laid over white first"
        case _:
            rule = "red, green and blue; grey repeated, transparency laid over white"
    return Conversion(channels=channels, origin="native" if requested is None else "requested", rule=rule)
