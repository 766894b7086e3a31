"""What an image takes in each network, by arithmetic: the same as what torch counts on the real one."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from core.engine.config import NetworkConfig
from core.engine.networks import NETWORKS, forward_cost
from core.engine.networks.build import skeleton

CLASSES = 7
CONFIGS = [
    NetworkConfig(name=name, norm=norm) for name, entry in NETWORKS.items() for norm in entry.norms
] + [
    NetworkConfig(width=32, depth=2, pooling="none"),
    NetworkConfig(width=48, depth=4, pooling="max", activation="swish"),
    NetworkConfig(width=4, depth=1),
]
IMAGES = [
    (1, (16, 16)),
    (3, (32, 32)),
    (1, (28, 28)),
    (4, (17, 17)),
    (3, (33, 45)),
    (3, (64, 64)),
    (3, (23, 96)),
]


def named(config: NetworkConfig) -> str:
    return f"{config.name}-{config.norm}-{config.width}-{config.depth}-{config.pooling}"


@pytest.mark.parametrize("config", CONFIGS, ids=named)
@pytest.mark.parametrize(("channels", "size"), IMAGES)
def test_it_is_what_torch_counts(config: NetworkConfig, channels: int, size: tuple[int, int]) -> None:
    network = skeleton(config, channels, size, CLASSES)
    values = 0

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        nonlocal values
        values += output[0].numel()

    for layer in network.blocks.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    # Two images: batch norm refuses a single one of a single pixel.
    x_NCHW = torch.empty(2, channels, *size, device="meta")
    with FlopCounterMode(display=False) as embedding:
        features_NF = network.embed(x_NCHW)
    assert isinstance(network, nn.Module)
    classifier = network.classifier
    assert isinstance(classifier, nn.Module)
    with FlopCounterMode(display=False) as classifying:
        classifier(features_NF)
    found = forward_cost(config, size, channels, CLASSES)
    assert 2 * found.embed == embedding.get_total_flops() > 0
    assert 2 * found.classify == classifying.get_total_flops() > 0
    assert found.flops == found.embed + found.classify
    assert found.map_values == values > 0


def test_a_norm_changes_nothing_and_a_width_much() -> None:
    narrow = forward_cost(NetworkConfig(width=32), (32, 32), 3, 10)
    assert narrow == forward_cost(replace(NetworkConfig(width=32), norm="batch"), (32, 32), 3, 10)
    wide = forward_cost(NetworkConfig(width=64), (32, 32), 3, 10)
    assert wide.map_values == 2 * narrow.map_values
    assert 2 * narrow.embed < wide.embed < 4 * narrow.embed
