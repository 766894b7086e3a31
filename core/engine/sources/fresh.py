"""A freshly initialised network in every iteration, as in distribution matching (arXiv 2110.04181)."""

import torch

from core.engine.config import CondenseConfig
from core.engine.images import LabelledImages
from core.engine.networks.build import build
from core.engine.networks.initialise import initialise
from core.engine.networks.network import Embedder
from core.engine.pool import Pool
from core.engine.precision import on_device
from core.engine.seeds import generator


class Fresh:
    """One network, whose weights are drawn anew in place: the same numbers as from building it again."""

    def __init__(
        self,
        real: LabelledImages,
        config: CondenseConfig,
        device: torch.device | str,
        pool: Pool | None = None,
    ) -> None:
        self._seed, self._device = config.seed, device
        network = build(config.network, real.channels, real.size, real.num_classes, self._chance(0))
        self._network = network.requires_grad_(False)
        self._embedder = on_device(network, device)

    @property
    def couples_samples(self) -> bool:
        return self._network.couples_samples

    def network(self, t: int) -> Embedder:
        # `embed` needs no classifier, whose numbers would be the last to be drawn.
        initialise(self._network.blocks, self._chance(t))
        return self._embedder

    def expert(self, t: int) -> Embedder:
        raise ValueError("expert: freshly initialised networks know no classes")

    def _chance(self, t: int) -> torch.Generator:
        return generator(self._seed, t, "network", self._device)
