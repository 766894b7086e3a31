"""A network whose weights are, in each iteration, some of a pool's."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from core.engine.config import CondenseConfig
from core.engine.images import LabelledImages
from core.engine.networks.build import build
from core.engine.networks.network import Embedder
from core.engine.precision import on_device
from core.engine.seeds import generator


class TrainedNetwork:
    """Built once; `load` gives it other weights in place."""

    def __init__(self, real: LabelledImages, config: CondenseConfig, device: torch.device | str) -> None:
        chance = generator(config.seed, 0, "network", device)
        network = build(config.matched_in, real.channels, real.size, real.num_classes, chance)
        assert isinstance(network, nn.Module)  # a protocol cannot say so
        self._network: nn.Module = network.requires_grad_(False)
        self.embedder: Embedder = on_device(network, device)

    @property
    def couples_samples(self) -> bool:
        return self.embedder.couples_samples

    def load(self, weights: Mapping[str, Tensor]) -> Embedder:
        self._network.load_state_dict(dict(weights))
        return self.embedder
