"""What matching asks of a network, and what every network here can do."""

from collections.abc import Iterator
from typing import Protocol, Self

from torch import Tensor, nn


class Embedder(Protocol):
    """A frozen network in training mode, as matching uses it."""

    @property
    def couples_samples(self) -> bool: ...

    def embed(self, x_NCHW: Tensor) -> Tensor: ...

    def stages(self, x_NCHW: Tensor) -> tuple[list[Tensor], Tensor]: ...

    def classify(self, features_NF: Tensor) -> Tensor: ...


class Network(Protocol):
    """An image classifier whose embedding can be matched: a torch module with these besides.

    features: length of the embedding.
    couples_samples: whether, in training mode, an image's embedding depends on the others in its batch.
    """

    @property
    def features(self) -> int: ...

    @property
    def couples_samples(self) -> bool: ...

    @property
    def blocks(self) -> nn.Module:
        """All layers that `embed` uses, and no other; they are the first to be initialised."""
        ...

    @property
    def training(self) -> bool: ...

    def embed(self, x_NCHW: Tensor) -> Tensor:
        """The input of the classifying layers, flattened: (N, features)."""
        ...

    def stages(self, x_NCHW: Tensor) -> tuple[list[Tensor], Tensor]:
        """Maps on the way, as core/engine/networks/stages.py has them, and what `embed` gives."""
        ...

    def classify(self, features_NF: Tensor) -> Tensor:
        """Logits of what `embed` gave, (N, num_classes)."""
        ...

    def __call__(self, x_NCHW: Tensor) -> Tensor:
        """Logits, (N, num_classes)."""
        ...

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]: ...

    def modules(self) -> Iterator[nn.Module]: ...

    def requires_grad_(self, requires_grad: bool = True) -> Self: ...

    def eval(self) -> Self: ...
