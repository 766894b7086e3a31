"""A trained network at a random moment of its training, as in TGDD ("Trajectory Guided Dataset Distillation
with Balanced Distribution", AAAI 2026)."""

import torch

from core.engine.config import CondenseConfig
from core.engine.images import LabelledImages
from core.engine.networks.network import Embedder
from core.engine.pool import Pool, check_pool
from core.engine.seeds import generator
from core.engine.sources.trained import TrainedNetwork


class Trajectory:
    """A random network of the pool, at a random moment from the first after its initialisation on.

    It is its own expert: TGDD takes a moment up to six epochs later, which costs a second pass.
    """

    def __init__(
        self,
        real: LabelledImages,
        config: CondenseConfig,
        device: torch.device | str,
        pool: Pool | None = None,
    ) -> None:
        self._seed, self._pool = config.seed, check_pool(pool, config)
        self._trained = TrainedNetwork(real, config, device)

    @property
    def couples_samples(self) -> bool:
        return self._trained.couples_samples

    def network(self, t: int) -> Embedder:
        chance = generator(self._seed, t, "pool")
        member = self._pool[int(torch.randint(len(self._pool), (1,), generator=chance))]
        return self._trained.load(member.at(int(torch.randint(1, member.moments, (1,), generator=chance))))

    def expert(self, t: int) -> Embedder:
        return self._trained.embedder
