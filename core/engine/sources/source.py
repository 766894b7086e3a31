"""What a source is: where the networks come from in which a condensation matches."""

from typing import Protocol

import torch

from core.engine.config import CondenseConfig
from core.engine.images import LabelledImages
from core.engine.lookup import load
from core.engine.networks.network import Embedder
from core.engine.pool import Pool
from core.engine.sources import SOURCES


class Source(Protocol):
    """Gives the network of each iteration, by counter-based randomness: which one does not depend on those
    asked for before, so that a resumed run sees the same ones.

    couples_samples: as of a network; the same for all of them.
    """

    def __init__(
        self,
        real: LabelledImages,
        config: CondenseConfig,
        device: torch.device | str,
        pool: Pool | None = None,
    ) -> None:
        """Raises ValueError: the images do not fit the network, or the pool is not what is asked for."""
        ...

    @property
    def couples_samples(self) -> bool: ...

    def network(self, t: int) -> Embedder:
        """Frozen, in training mode, on the device; `t` counts from 0. Valid until the next call."""
        ...

    def expert(self, t: int) -> Embedder:
        """A trained network that classifies; it may be that of `network(t)`, which was asked for before.

        Raises:
            ValueError: this source trains none.
        """
        ...


def load_source(name: str) -> type[Source]:
    """The class of the source of this name."""
    loaded: type[Source] = load(SOURCES[name].path)
    return loaded
