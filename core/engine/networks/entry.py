"""What the table of networks says of each: torch-free, so that the API can read it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Architecture(Protocol):
    """Of a NetworkConfig, what decides on the size of its layers."""

    @property
    def name(self) -> str: ...

    @property
    def width(self) -> int: ...

    @property
    def depth(self) -> int | None: ...

    @property
    def pooling(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Forward:
    """What one image takes on its way forward. A multiplication and an addition count as two FLOPs; those of
    convolutions and linear layers are counted, as torch's FlopCounterMode counts them.

    embed: FLOPs up to the embedding, which is all that condensing needs.
    classify: FLOPs of the classifying layers after it.
    map_values: numbers that the convolutions and linear layers of the embedding give.
    """

    embed: int
    classify: int
    map_values: int

    @property
    def flops(self) -> int:
        return self.embed + self.classify


@dataclass(frozen=True, kw_only=True)
class NetworkEntry:
    """A network of the table.

    path: "module:class"; the class is called with a NetworkConfig, the images' channels and size, and the
        number of classes.
    norms: those that it can have.
    fields: of NetworkConfig, besides name and norm, those that can be chosen.
    forward: what an image takes, given the configuration, its height and width, its channels, the classes.
    """

    path: str
    norms: tuple[str, ...]
    fields: tuple[str, ...] = ()
    forward: Callable[[Architecture, tuple[int, int], int, int], Forward]
