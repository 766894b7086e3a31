"""Which images of a class are drawn."""

import torch
from torch import Tensor


def sample(indices_M: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` of the indices, uniformly and without replacement; each equally often, up to one, if that are
    more than there are.

    Args:
        indices_M: int64, M ≥ 1, on the CPU as the generator is.

    Returns:
        int64 (count,).
    """
    size = len(indices_M)
    if size == 0:
        raise ValueError("no images to sample from")
    if size < count:
        # All of them over and over, and a part once more: drawing with replacement would leave some out.
        rounds = [torch.randperm(size, generator=generator) for _ in range(-(-count // size))]
        return indices_M[torch.cat(rounds)[:count]]
    if size < 2 * count:
        return indices_M[torch.randperm(size, generator=generator)[:count]]
    # Drawing with replacement and keeping the first `count` distinct ones samples without replacement, at a
    # cost that does not grow with the class, as a permutation's would. At most half the class is wanted, so
    # a second round is rare.
    candidates_D = torch.empty(0, dtype=torch.int64)
    while True:
        more = torch.randint(size, (2 * count,), generator=generator)
        candidates_D = _distinct_in_order(torch.cat([candidates_D, more]))
        if len(candidates_D) >= count:
            return indices_M[candidates_D[:count]]


def _distinct_in_order(values: Tensor) -> Tensor:
    """Each value once, in order of first appearance (a prefix of sorted values would be biased)."""
    ordered, positions = torch.sort(values, stable=True)
    first = torch.ones_like(ordered, dtype=torch.bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return values[positions[first].sort().values]
