"""A network between its initial and its trained weights (Zhang et al., "DANCE: Dual-View Distribution
Alignment for Dataset Condensation", IJCAI 2024, https://arxiv.org/abs/2406.01063: middle encoders)."""

import torch

from core.engine.config import CondenseConfig
from core.engine.images import LabelledImages
from core.engine.networks.network import Embedder
from core.engine.pool import Pool, PoolNetwork, check_pool
from core.engine.seeds import generator
from core.engine.sources.trained import TrainedNetwork


class Interpolation:
    """λ · initial + (1 - λ) · trained, of a random network of the pool, with λ uniform in [0, 1).

    The expert is the trained one.
    """

    def __init__(
        self,
        real: LabelledImages,
        config: CondenseConfig,
        device: torch.device | str,
        pool: Pool | None = None,
    ) -> None:
        self._seed, self._pool = config.seed, check_pool(pool, config)
        self._between, self._trained = (TrainedNetwork(real, config, device) for _ in range(2))

    @property
    def couples_samples(self) -> bool:
        return self._between.couples_samples

    def network(self, t: int) -> Embedder:
        member, share = self._drawn(t)
        initial, trained = member.at(0), member.at(member.moments - 1)
        mixed = {name: torch.lerp(trained[name].float(), initial[name].float(), share) for name in initial}
        return self._between.load(mixed)

    def expert(self, t: int) -> Embedder:
        member, _ = self._drawn(t)
        return self._trained.load(member.at(member.moments - 1))

    def _drawn(self, t: int) -> tuple[PoolNetwork, float]:
        chance = generator(self._seed, t, "pool")
        member = self._pool[int(torch.randint(len(self._pool), (1,), generator=chance))]
        return member, float(torch.rand(1, generator=chance))
