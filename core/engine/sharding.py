"""One condensation by several processes, each with a GPU of its own: the classes shared out among them.

A class's part of the loss and its images' gradient depend on no other class, unless the network couples
samples. Every process draws the network and the choices of all classes, as a single one would; it computes
only its own classes, and all end every iteration with the same images.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Which of `world` processes this is. With more than one, torch.distributed must be initialised."""

    rank: int
    world: int

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world:
            raise ValueError(f"shard: rank {self.rank} is outside 0 to {self.world - 1}")

    def check(self, classes: int, couples_samples: bool) -> None:
        """Whether so many classes under such a network can be shared out.

        Raises:
            ValueError: a process would have no class, the network's statistics span the classes, or
                torch.distributed has another number of processes or rank.
        """
        if self.world == 1:
            return
        if couples_samples:
            raise ValueError("shard: a network with batch norm needs all classes in one process")
        if self.world > classes:
            raise ValueError(f"shard: {self.world} processes for {classes} classes; at most one per class")
        if not distributed.is_initialized():
            raise ValueError(f"shard: torch.distributed is not initialised for {self.world} processes")
        found = (distributed.get_rank(), distributed.get_world_size())
        if found != (self.rank, self.world):
            raise ValueError(
                f"shard: rank {self.rank} of {self.world}, but torch.distributed has {found[0]} of {found[1]}"
            )

    def of(self, classes: int) -> slice:
        """The positions of this process's classes: contiguous, as even as can be."""
        return slice(classes * self.rank // self.world, classes * (self.rank + 1) // self.world)

    def combined(self, loss: Tensor, gradient_NCHW: Tensor, first: int, total: int) -> tuple[Tensor, Tensor]:
        """The loss of all processes, and the gradient of all `total` images.

        Args:
            loss: 0-dim, of this process's classes.
            gradient_NCHW: of this process's images, which begin at image `first`.
        """
        if self.world == 1:
            return loss, gradient_NCHW
        whole_NCHW = gradient_NCHW.new_zeros((total, *gradient_NCHW.shape[1:]))
        whole_NCHW[first : first + len(gradient_NCHW)] = gradient_NCHW
        # Each image's gradient is added to zeros alone, so no order of summation can change it.
        distributed.all_reduce(whole_NCHW)
        # Not a reduction, whose order of summation is the backend's choice.
        losses = [torch.empty_like(loss) for _ in range(self.world)]
        distributed.all_gather(losses, loss)
        return torch.stack(losses).sum(), whole_NCHW


WHOLE = Shard(rank=0, world=1)
"""A single process."""
