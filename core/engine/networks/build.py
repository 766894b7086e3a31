"""A network made from its configuration."""

import torch
from torch import nn

from core.engine.config import CHANNELS, MIN_IMAGE_SIZE, NetworkConfig
from core.engine.lookup import load
from core.engine.networks import NETWORKS
from core.engine.networks.initialise import initialise
from core.engine.networks.network import Network


def build(
    config: NetworkConfig, channels: int, size: tuple[int, int], num_classes: int, generator: torch.Generator
) -> Network:
    """A freshly initialised network in training mode, on the generator's device.

    Args:
        size: height and width of the images in pixels.
        generator: the only source of randomness; the global generators are not touched.

    Raises:
        ValueError: images that the network cannot take.
    """
    network = skeleton(config, channels, size, num_classes)
    assert isinstance(network, nn.Module)  # a protocol cannot say so
    materialise(network, generator.device)
    initialise(network, generator)
    return network


def skeleton(config: NetworkConfig, channels: int, size: tuple[int, int], num_classes: int) -> Network:
    """A network in training mode on the meta device: shapes without weights. Otherwise as `build`."""
    if channels not in CHANNELS:
        raise ValueError(f"channels: {channels} is not one of {CHANNELS}")
    if min(size) < MIN_IMAGE_SIZE:
        raise ValueError(f"size: {size[0]}x{size[1]} px is smaller than {MIN_IMAGE_SIZE} px a side")
    # Loaded first: constants that a module makes when it is loaded must not be made on the meta device.
    make = load(NETWORKS[config.name].path)
    # There the constructors' own initialisation, from the global generator, does nothing.
    with torch.device("meta"):
        network: Network = make(config, channels, size, num_classes)
        return network


def materialise(network: nn.Module, device: torch.device) -> None:
    """Give a skeleton memory on a device; what is in it is undefined.

    nn.Module.to_empty does the same, but loads sympy for it, which takes half as long as torch itself.
    """
    for module in network.modules():
        for name, weights in module.named_parameters(recurse=False):
            setattr(module, name, nn.Parameter(torch.empty(weights.shape, device=device)))
        for name, statistics in module.named_buffers(recurse=False):
            setattr(module, name, torch.empty(statistics.shape, dtype=statistics.dtype, device=device))
