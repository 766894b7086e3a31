"""Adam with decoupled weight decay (Loshchilov & Hutter, https://arxiv.org/abs/1711.05101), as
`torch.optim.AdamW` does it, which is not used for sgd.py's reason."""

from collections.abc import Iterable

import torch
from torch import Tensor

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class AdamW:
    """θ ← (1 - lr · weight_decay) · θ, then θ ← θ - lr · m / (√v + ε), with m and v the moving means of the
    gradient and of its square, each divided by what it lacks for having begun at 0.

    A parameter without a gradient stays as it is: the same ones in every step.
    """

    def __init__(self, parameters: Iterable[Tensor], *, lr: float, weight_decay: float) -> None:
        self.lr = lr
        self._parameters = list(parameters)
        self._weight_decay = weight_decay
        self._means: list[Tensor] = []
        self._squares: list[Tensor] = []
        self._steps = 0

    def zero_grad(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        moved = [parameter for parameter in self._parameters if parameter.grad is not None]
        gradients = [parameter.grad for parameter in moved if parameter.grad is not None]
        if not self._steps:
            self._means, self._squares = ([torch.zeros_like(one) for one in moved] for _ in range(2))
        self._steps += 1
        first, second = BETAS
        torch._foreach_mul_(moved, 1 - self.lr * self._weight_decay)
        torch._foreach_lerp_(self._means, gradients, 1 - first)
        torch._foreach_mul_(self._squares, second)
        torch._foreach_addcmul_(self._squares, gradients, gradients, value=1 - second)
        roots = torch._foreach_sqrt(self._squares)
        torch._foreach_div_(roots, (1 - second**self._steps) ** 0.5)
        torch._foreach_add_(roots, EPSILON)
        torch._foreach_addcdiv_(moved, self._means, roots, value=-self.lr / (1 - first**self._steps))
