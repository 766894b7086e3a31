"""How networks that were drawn for 32 px take smaller images."""

DRAWN_FOR = 32
"""Pixels a side."""


def first_padding(own: int, size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of zeros that the first convolution adds at each border.

    Its own padding, and as much as brings a smaller image up to 32 px: otherwise the last maps would have no
    pixel, or one, which instance norm turns into a constant. The official code does so for MNIST's 28 px.

    Args:
        own: padding at 32 px and above.
        size: height and width of the images in pixels.
    """
    height, width = (own + max(0, -((side - DRAWN_FOR) // 2)) for side in size)
    return height, width
