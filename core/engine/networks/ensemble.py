"""An ensemble: several networks of one architecture as a single one, their channels side by side.

Every layer here works on each channel by itself or on blocks of them, so N networks of C channels are one
network of N·C: convolutions in N groups, norms over N times the groups, linear layers as N products. It takes
as many launches as one network takes, which is what a GPU's time goes into when batches are small.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import group_norm

from core.engine.networks.network import Network


class Ensemble(nn.Module):
    """Networks that share nothing and are given a batch each.

    The parameters are copies: each is that of all networks, concatenated along its first axis, so whatever
    treats a parameter element by element (SGD, weight decay) treats each network as it would alone. In
    training mode the statistics of a batch norm are each network's own.

    Args:
        networks: at least one, of one architecture, on one device and in one mode.

    Raises:
        TypeError: a module with parameters of a kind that has no rule here.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        super().__init__()
        self.count = len(networks)
        modules = []
        for network in networks:
            assert isinstance(network, nn.Module)  # a protocol cannot say so
            modules.append(network)
        self.network = _joined(modules)

    def forward(self, x_MBCHW: Tensor) -> Tensor:
        """Logits (M, B, num_classes): those of network m for its own batch m."""
        networks, batch = x_MBCHW.shape[:2]
        x_BCHW = x_MBCHW.transpose(0, 1).flatten(1, 2)
        logits_BL: Tensor = self.network(x_BCHW)
        return logits_BL.view(batch, networks, -1).transpose(0, 1)


class _Linears(nn.Module):
    """A linear layer for each block of the features."""

    def __init__(self, linears: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight_MOI = nn.Parameter(torch.stack([linear.weight.detach() for linear in linears]))
        self.bias_MO = nn.Parameter(torch.stack([linear.bias.detach() for linear in linears]))

    def forward(self, x_NF: Tensor) -> Tensor:
        x_MNI = x_NF.view(len(x_NF), len(self.weight_MOI), -1).transpose(0, 1)
        y_MNO = torch.baddbmm(self.bias_MO[:, None], x_MNI, self.weight_MOI.transpose(1, 2))
        return y_MNO.transpose(0, 1).flatten(1)


class _LayerNorms(nn.Module):
    """A layer norm of whole maps for each block of the channels."""

    def __init__(self, norms: Sequence[nn.LayerNorm]) -> None:
        super().__init__()
        self.count, self.eps = len(norms), norms[0].eps
        self.weight_CHW = nn.Parameter(torch.cat([norm.weight.detach() for norm in norms]))
        self.bias_CHW = nn.Parameter(torch.cat([norm.bias.detach() for norm in norms]))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return group_norm(x_NCHW, self.count, eps=self.eps) * self.weight_CHW + self.bias_CHW


def _joined(modules: Sequence[nn.Module]) -> nn.Module:
    """One module that does what all of them do, each on its block of the channels."""
    first, count = modules[0], len(modules)
    if isinstance(first, nn.Linear):
        return _Linears([m for m in modules if isinstance(m, nn.Linear)])
    if isinstance(first, nn.LayerNorm):
        return _LayerNorms([m for m in modules if isinstance(m, nn.LayerNorm)])
    joined = copy.deepcopy(first)
    if isinstance(joined, nn.Conv2d):
        joined.in_channels *= count
        joined.out_channels *= count
        joined.groups *= count
    elif isinstance(joined, nn.BatchNorm2d):
        joined.num_features *= count
    elif isinstance(joined, nn.GroupNorm):
        joined.num_groups *= count
        joined.num_channels *= count
    elif any(True for _ in first.parameters(recurse=False)):
        raise TypeError(f"no rule for {type(first).__name__} in an ensemble")
    for name, _ in first.named_parameters(recurse=False):
        parts = [m.get_parameter(name).detach() for m in modules]
        joined.register_parameter(name, nn.Parameter(torch.cat(parts)))
    for name, buffer in first.named_buffers(recurse=False):
        # The number of batches seen has no axis and is the same for all.
        if buffer.dim():
            joined.register_buffer(name, torch.cat([m.get_buffer(name) for m in modules]))
    for name, _ in first.named_children():
        joined.add_module(name, _joined([m.get_submodule(name) for m in modules]))
    return joined
