"""A network's maps on their way to its embedding."""

from torch import Tensor, nn


def stages(blocks: nn.Sequential, x: Tensor) -> tuple[list[Tensor], Tensor]:
    """The output of each layer that makes the maps smaller, but for the last layer's; and the embedding.

    Returns:
        Maps (N, C, height, width), and the flattened output of the last layer (N, features).
    """
    found: list[Tensor] = []
    for layer in blocks:
        size, x = x.shape[2:], layer(x)
        if x.ndim == 4 and x.shape[2:] != size:
            found.append(x)
    if found and found[-1] is x:
        found.pop()
    return found, x.flatten(1)
