"""Where the networks come from that a condensation matches in."""

from dataclasses import replace

import pytest
import torch

from core.engine.config import CondenseConfig, NetworkConfig, PoolConfig
from core.engine.networks.build import build
from core.engine.networks.network import Embedder
from core.engine.pool import PoolNetwork
from core.engine.seeds import generator
from core.engine.sources import SOURCES
from core.engine.sources.fresh import Fresh
from core.engine.sources.interpolation import Interpolation
from core.engine.sources.source import Source, load_source
from core.engine.sources.trajectory import Trajectory

from .problems import random_images

REAL = random_images()
CONFIG = CondenseConfig(ipc=1, network=NetworkConfig(width=4, depth=2), seed=5)
POOL = PoolConfig(networks=2, epochs=1)


def features(network: Embedder) -> torch.Tensor:
    return network.embed(REAL.normalised(torch.arange(4), "cpu"))


def made_up(n: int) -> PoolNetwork:
    """Five moments of no training."""
    networks = [build(CONFIG.network, 1, (16, 16), 3, generator(n, moment, "made up")) for moment in range(5)]
    states = [network.state_dict() for network in networks if isinstance(network, torch.nn.Module)]
    return PoolNetwork(weights={name: torch.stack([one[name] for one in states]) for name in states[0]})


def test_fresh_is_a_newly_built_network_each_time() -> None:
    fresh: Source = Fresh(REAL, CONFIG, "cpu")
    for t in (0, 1, 7):
        built = build(CONFIG.network, 1, (16, 16), 3, generator(5, t, "network")).requires_grad_(False)
        assert torch.equal(features(fresh.network(t)), features(built))


@pytest.mark.parametrize("name", SOURCES)
def test_what_was_asked_for_before_makes_no_difference(name: str) -> None:
    source = load_source(name)
    config = replace(CONFIG, source=name, pool=POOL if SOURCES[name].needs_pool else None)
    pool = [made_up(n) for n in range(2)] if config.pool else None
    one, other = (source(REAL, config, "cpu", pool) for _ in range(2))
    in_turn = [features(one.network(t)) for t in range(4)]
    for t in (3, 1, 1, 0):
        network = other.network(t)
        assert network.couples_samples == other.couples_samples
        assert torch.equal(features(network), in_turn[t])
    assert any(not torch.equal(in_turn[0], other) for other in in_turn[1:])


def logits(network: Embedder) -> torch.Tensor:
    return network.classify(features(network))


def test_a_trajectory_gives_every_moment_but_the_first_and_is_its_own_expert() -> None:
    pool = [made_up(n) for n in range(2)]
    source = Trajectory(REAL, replace(CONFIG, source="trajectory", pool=POOL), "cpu", pool)
    known = {}
    for n, member in enumerate(pool):
        for moment in range(5):
            built = build(CONFIG.network, 1, (16, 16), 3, generator(0, 0, "any"))
            assert isinstance(built, torch.nn.Module)
            built.load_state_dict(member.at(moment))
            known[n, moment] = logits(built)
    seen = set()
    for t in range(80):
        network = source.network(t)
        assert source.expert(t) is network
        seen |= {which for which, one in known.items() if torch.equal(one, logits(network))}
    assert seen == {(n, moment) for n in range(2) for moment in range(1, 5)}


def test_interpolation_lies_between_the_first_moment_and_the_last_which_is_the_expert() -> None:
    (member,) = pool = [made_up(0)]
    config = replace(CONFIG, source="interpolation", pool=PoolConfig(networks=1, epochs=1))
    source = Interpolation(REAL, config, "cpu", pool)
    shares = []
    for t in range(20):
        network = source.network(t)
        assert isinstance(network, torch.nn.Module)
        weights, first, last = network.state_dict(), member.at(0), member.at(4)
        share = float((weights["classifier.bias"] - last["classifier.bias"])[0])
        share /= float((first["classifier.bias"] - last["classifier.bias"])[0])
        for name, tensor in weights.items():
            assert torch.allclose(tensor, share * first[name] + (1 - share) * last[name], atol=1e-4), name
        expert = source.expert(t)
        assert isinstance(expert, torch.nn.Module) and expert is not network
        assert all(torch.equal(tensor, last[name]) for name, tensor in expert.state_dict().items())
        shares.append(share)
    assert min(shares) < 0.3 and max(shares) > 0.7 and all(-0.01 < share < 1 for share in shares)


def test_a_pool_that_is_not_what_was_asked_for_is_refused() -> None:
    config = replace(CONFIG, source="trajectory", pool=POOL)
    for pool, found in ((None, "none"), ([made_up(0)], "1")):
        with pytest.raises(ValueError, match=f"pool: {found} of 2 trained networks given"):
            Trajectory(REAL, config, "cpu", pool)
    with pytest.raises(ValueError, match="source 'trajectory' needs a pool"):
        replace(CONFIG, source="trajectory")
    with pytest.raises(ValueError, match="source 'fresh' takes no pool"):
        replace(CONFIG, pool=POOL)
    with pytest.raises(ValueError, match=r"expert: 1\.0 needs a source of trained networks"):
        replace(CONFIG, expert=1.0)
    with pytest.raises(ValueError, match="freshly initialised networks know no classes"):
        Fresh(REAL, CONFIG, "cpu").expert(0)
