"""How many blocks ConvNet has for images of a size."""


def default_depth(height: int, width: int) -> int:
    """Number of halvings after which the shorter side is at most 5 px (4 or 3 for the usual sizes).

    16 → 2, 28 and 32 → 3, 64 → 4, 128 → 5, as in the paper.
    """
    depth = 1
    while min(height, width) >> depth > 5:
        depth += 1
    return depth
