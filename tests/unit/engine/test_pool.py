"""Networks of a pool: trained by steps that can be counted, and kept on the way."""

from dataclasses import replace

import pytest
import torch

from core.engine.condense import condense
from core.engine.config import CondenseConfig, NetworkConfig, PoolConfig
from core.engine.evaluate import Progress
from core.engine.networks.build import build
from core.engine.pool import SNAPSHOTS, PoolNetwork, pool_training, train_pool_network
from core.engine.seeds import generator
from core.trials.training import finish

from .problems import bright_quarters

REAL = bright_quarters(80, seed=0)
CONFIG = CondenseConfig(
    ipc=1, network=NetworkConfig(width=8, depth=2), source="trajectory", pool=PoolConfig(networks=1, epochs=8)
)


def trained(config: CondenseConfig = CONFIG, repeat: int = 0) -> tuple[PoolNetwork, list[Progress]]:
    seen: list[Progress] = []
    return finish(train_pool_network(REAL, pool_training(config), repeat), seen.append), seen


def accuracy(weights: dict[str, torch.Tensor]) -> float:
    network = build(CONFIG.network, 1, (16, 16), 4, generator(0, 0, "any"))
    assert isinstance(network, torch.nn.Module)
    network.load_state_dict(weights)
    network.eval()
    test = bright_quarters(40, seed=1)
    with torch.no_grad():
        answers_N = network(test.normalised(torch.arange(len(test)), "cpu")).argmax(dim=1)
    return float((answers_N == test.labels_N).float().mean())


def test_the_first_moment_is_untrained_and_the_last_the_trained_network() -> None:
    member, seen = trained()
    assert member.moments == SNAPSHOTS + 1
    assert [at.step for at in seen] == list(range(1, seen[-1].steps + 1))
    initial = build(CONFIG.network, 1, (16, 16), 4, generator(0, 0, "pool network"))
    assert isinstance(initial, torch.nn.Module)
    for name, tensor in initial.state_dict().items():
        assert torch.equal(member.at(0)[name], tensor), name
    assert accuracy(member.at(0)) < 0.6 < accuracy(member.at(SNAPSHOTS))
    for one, other in zip(range(SNAPSHOTS), range(1, SNAPSHOTS + 1), strict=True):
        assert not torch.equal(member.at(one)["classifier.bias"], member.at(other)["classifier.bias"])


def test_the_same_training_gives_the_same_bits_and_another_repeat_others() -> None:
    one, again, other = trained()[0], trained()[0], trained(repeat=1)[0]
    assert all(torch.equal(tensor, again.weights[name]) for name, tensor in one.weights.items())
    assert not torch.equal(one.weights["classifier.weight"], other.weights["classifier.weight"])


def test_a_training_of_fewer_steps_than_moments_has_as_many_all_the_same() -> None:
    member, seen = trained(replace(CONFIG, pool=PoolConfig(networks=1, epochs=1)))
    assert len(seen) < SNAPSHOTS and member.moments == SNAPSHOTS + 1
    last = member.at(SNAPSHOTS)
    assert not torch.equal(last["classifier.bias"], member.at(0)["classifier.bias"])


def test_only_a_configuration_with_a_pool_says_how_to_train_it() -> None:
    with pytest.raises(ValueError, match="source 'fresh' takes no pool"):
        pool_training(CondenseConfig(ipc=1))


def test_a_pool_may_be_narrower_than_the_network_that_is_evaluated() -> None:
    config = replace(CONFIG, pool=PoolConfig(networks=1, epochs=1, width=4), iterations=2, batch_real=8)
    assert (config.network.width, config.matched_in.width) == (8, 4)
    assert replace(CONFIG, pool=PoolConfig(width=64)).matched_in.width == 8, "no wider than the network"
    vgg = NetworkConfig(name="vgg11")
    assert replace(config, network=vgg).matched_in == vgg, "it has no width to choose"
    member, _ = trained(config)
    assert member.at(0)["blocks.0.weight"].shape[0] == 4
    *_, last = condense(REAL, config, pool=[member])
    assert last.loss.isfinite()
    with pytest.raises(ValueError, match="width: 0 is not a whole number"):
        PoolConfig(width=0)
