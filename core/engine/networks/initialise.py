"""PyTorch's default initialisation, drawn from a given generator instead of the global one."""

import math

import torch
from torch import nn

from core.engine.networks.network import Network


def initialise(network: Network | nn.Module, generator: torch.Generator) -> None:
    """Fill every parameter and buffer of the network.

    Raises:
        TypeError: a module with parameters of a kind that has no rule here.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5), generator=generator)
            if module.bias is not None:
                bound = 1 / math.sqrt(module.weight[0].numel())
                nn.init.uniform_(module.bias, -bound, bound, generator=generator)
        elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm | nn.LayerNorm):
            # Ones, zeros and fresh running statistics: nothing is drawn.
            module.reset_parameters()
        elif any(True for _ in module.parameters(recurse=False)):
            raise TypeError(f"no initialisation rule for {type(module).__name__}")
