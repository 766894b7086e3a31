"""Stochastic gradient descent with momentum and weight decay, as `torch.optim.SGD` does it, to the bit.

torch's own loads torch's compiler when the first one is made, which is not used here: that takes as long as
to load torch, in each process that evaluates, and 80 MB.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


class SGD:
    """Of parameters θ with gradients g: b ← momentum · b + (g + weight_decay · θ), then θ ← θ - lr · b.

    The first step's b is g + weight_decay · θ alone. A parameter without a gradient stays as it is: the same
    ones in every step.
    """

    def __init__(
        self, parameters: Iterable[Tensor], *, lr: float, momentum: float, weight_decay: float
    ) -> None:
        self.lr = lr
        self._parameters = list(parameters)
        self._momentum = momentum
        self._weight_decay = weight_decay
        self._buffers: list[Tensor] = []

    def zero_grad(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        moved = [parameter for parameter in self._parameters if parameter.grad is not None]
        steps = [parameter.grad for parameter in moved if parameter.grad is not None]
        if self._weight_decay:
            steps = list(torch._foreach_add(steps, moved, alpha=self._weight_decay))
        if self._momentum and self._buffers:
            torch._foreach_mul_(self._buffers, self._momentum)
            torch._foreach_add_(self._buffers, steps)
            steps = self._buffers
        elif self._momentum:
            steps = self._buffers = [step.clone() for step in steps]
        torch._foreach_add_(moved, steps, alpha=-self.lr)
