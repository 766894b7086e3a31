"""Where the networks come from that a condensation matches in."""

import pytest
import torch

from core.engine.config import CondenseConfig, NetworkConfig
from core.engine.networks.build import build
from core.engine.networks.network import Embedder
from core.engine.seeds import generator
from core.engine.sources import SOURCES
from core.engine.sources.fresh import Fresh
from core.engine.sources.source import Source, load_source

from .problems import random_images

REAL = random_images()
CONFIG = CondenseConfig(ipc=1, network=NetworkConfig(width=4, depth=2), seed=5)


def features(network: Embedder) -> torch.Tensor:
    return network.embed(REAL.normalised(torch.arange(4), "cpu"))


def test_fresh_is_a_newly_built_network_each_time() -> None:
    fresh: Source = Fresh(REAL, CONFIG, "cpu")
    for t in (0, 1, 7):
        built = build(CONFIG.network, 1, (16, 16), 3, generator(5, t, "network")).requires_grad_(False)
        assert torch.equal(features(fresh.network(t)), features(built))


@pytest.mark.parametrize("name", SOURCES)
def test_what_was_asked_for_before_makes_no_difference(name: str) -> None:
    source = load_source(name)
    one, other = source(REAL, CONFIG, "cpu"), source(REAL, CONFIG, "cpu")
    in_turn = [features(one.network(t)) for t in range(4)]
    for t in (3, 1, 1, 0):
        network = other.network(t)
        assert network.couples_samples == other.couples_samples
        assert torch.equal(features(network), in_turn[t])
    assert not torch.equal(in_turn[0], in_turn[1])
