"""A pool of trained networks: each trained on the real training split, and kept at several moments of it.

After Zhang et al., "DANCE: Dual-View Distribution Alignment for Dataset Condensation", IJCAI 2024
(https://arxiv.org/abs/2406.01063), which trains for 60 epochs; here for few, at a learning rate that rises
and falls once.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.engine.config import CondenseConfig, EvaluateConfig
from core.engine.evaluate import Progress, train_network
from core.engine.images import LabelledImages
from core.engine.networks.network import Network
from core.engine.protocols.pool import POOL_TRAINING

SNAPSHOTS = 12
"""Of each network's training, evenly spread, besides the freshly initialised one; the last is trained."""


SEED = 0
"""Of every pool, whatever the condensation's: so one is of use for condensations of any seed."""


@dataclass(frozen=True, kw_only=True)
class PoolNetwork:
    """weights: by name, every parameter and buffer, its first axis the SNAPSHOTS + 1 moments, in order."""

    weights: Mapping[str, Tensor]

    @property
    def moments(self) -> int:
        return len(next(iter(self.weights.values())))

    def at(self, moment: int) -> dict[str, Tensor]:
        """What `load_state_dict` takes."""
        return {name: tensor[moment] for name, tensor in self.weights.items()}


Pool = Sequence[PoolNetwork]


def pool_training(config: CondenseConfig) -> EvaluateConfig:
    """How the networks of the pool are trained.

    Raises:
        ValueError: the configuration asks for none.
    """
    if config.pool is None:
        raise ValueError(f"pool: source {config.source!r} takes no pool")
    return EvaluateConfig(
        network=config.matched_in, networks=config.pool.networks, epochs=config.pool.epochs,
        protocol=POOL_TRAINING, augment=config.augment, seed=SEED,
    )  # fmt: skip


def train_pool_network(
    real: LabelledImages, config: EvaluateConfig, repeat: int, *, device: torch.device | str = "cpu"
) -> Generator[Progress, None, PoolNetwork]:
    """Train network number `repeat`, yielding after every step.

    Args:
        config: of `pool_training`.

    Raises:
        ValueError, TrainingDiverged, OutOfMemory: as `train_network`.
    """
    kept: list[dict[str, Tensor]] = []

    def keep(network: Network, step: int, steps: int) -> None:
        if step * SNAPSHOTS // steps >= len(kept):
            assert isinstance(network, nn.Module)  # a protocol cannot say so
            kept.append({name: tensor.clone() for name, tensor in network.state_dict().items()})

    yield from train_network(
        real, real.num_classes, config, repeat, purpose="pool", device=device, observe=keep
    )
    # A training of fewer steps than moments stands still in some of them.
    steps = [kept[min(n, len(kept) - 1)] for n in range(SNAPSHOTS + 1)]
    return PoolNetwork(weights={name: torch.stack([one[name] for one in steps]) for name in kept[0]})


def check_pool(pool: Pool | None, config: CondenseConfig) -> Pool:
    """The pool, as a source needs it.

    Raises:
        ValueError: it is missing, or of another number of networks.
    """
    assert config.pool is not None, "only sources that need a pool ask for it"
    if pool is None or len(pool) != config.pool.networks:
        found = "none" if pool is None else len(pool)
        raise ValueError(f"pool: {found} of {config.pool.networks} trained networks given")
    return pool
