"""What a condensation and an evaluation may be asked for: fields, defaults, limits.

Imports no torch, and no table that does, so that the API can read defaults and limits without it.
Defaults are those of Zhao & Bilen, "Dataset Condensation with Distribution Matching" (arXiv 2110.04181).
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from core.engine.forms import FORMS
from core.engine.networks import NETWORK_FIELDS, NETWORKS, refuse_fields
from core.engine.objectives import OBJECTIVES
from core.engine.protocols.paper import PAPER
from core.engine.protocols.protocol import EvaluationProtocol
from core.engine.sources import SOURCES

PAPER_EPOCHS = PAPER.epochs_on(1)

ACTIVATIONS = ("sigmoid", "relu", "leakyrelu", "swish")
POOLINGS = ("none", "max", "avg")
INITS = ("real", "noise")
AUGMENT_OPS = ("color", "crop", "cutout", "flip", "scale", "rotate")
AUGMENT_ALL = "_".join(AUGMENT_OPS)
CHAINED = ("color", "crop", "cutout", "flip")

CHANNELS = (1, 3, 4)
MIN_IMAGE_SIZE = 16
NORM_GROUPS = 4

INTEGER_LIMITS: Mapping[str, tuple[int, int]] = {
    "ipc": (1, 10_000),
    "iterations": (1, 1_000_000),
    "batch_real": (1, 65_536),
    "width": (1, 2_048),
    "depth": (1, 8),
    "networks": (1, 100),
    "epochs": (1, 100_000),
    "batch": (1, 65_536),
    "batch_synthetic": (1, 65_536),
    "seed": (0, 2**53 - 1),  # the whole numbers that every reader of JSON keeps exactly
}
"""Both ends belong to the range, here and below."""

NUMBER_LIMITS: Mapping[str, tuple[float, float]] = {
    "lr": (1e-6, 1e6),
    "lr_decay": (0.0, 1.0),
    "momentum": (0.0, 0.999),
    "weight_decay": (0.0, 1.0),
    "expert": (0.0, 1e6),
}


def default_lr(ipc: int) -> float:
    """Learning rate of the pixels for `ipc` images per class.

    The paper's values: 1 up to 50 images per class, 10 from 100. The class mean divides the pull on each
    image by ipc, hence the growth. Between the two, where the paper is silent, the geometric interpolation.
    """
    return math.pow(10.0, min(max(ipc / 50 - 1, 0.0), 1.0))


def parse_augment(strategy: str) -> tuple[str, ...]:
    """The op names of an augmentation strategy: names joined by "_"; "none" has no op.

    Raises:
        ValueError: an unknown or repeated op.
    """
    if strategy == "none":
        return ()
    ops = tuple(strategy.split("_"))
    unknown = sorted(set(ops) - set(AUGMENT_OPS))
    if unknown:
        known = ", ".join(AUGMENT_OPS)
        raise ValueError(f"augment: {unknown[0]!r} is not one of {known}, joined by '_' (or 'none' alone)")
    if len(set(ops)) < len(ops):
        raise ValueError(f"augment: {strategy!r} names an op twice: name each once")
    return ops


def _check_choice(field: str, value: object, choices: Collection[str]) -> None:
    if value not in choices:
        raise ValueError(f"{field}: {value!r} is not one of {', '.join(choices)}")


def _check_integers(config: object, *fields: str) -> None:
    for field in fields:
        value, (low, high) = getattr(config, field), INTEGER_LIMITS[field]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{field}: {value!r} is not a whole number from {low} to {high}")


def _check_numbers(config: object, *fields: str) -> None:
    for field in fields:
        value, (low, high) = getattr(config, field), NUMBER_LIMITS[field]
        number = not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)
        if not number or not low <= value <= high:
            raise ValueError(f"{field}: {value!r} is not a number from {low:g} to {high:g}")


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """A network whose random initialisations embed images, or that is trained to evaluate a set.

    `depth` None means `default_depth` of the image size (core/engine/networks/depth.py). A network that is
    fixed in a field refuses what is not its default.
    """

    name: str = "convnet"
    width: int = 128
    depth: int | None = None
    norm: str = "instance"
    activation: str = "relu"
    pooling: str = "avg"

    def __post_init__(self) -> None:
        _check_choice("name", self.name, NETWORKS)
        if self.norm not in NETWORKS[self.name].norms:
            norms = ", ".join(NETWORKS[self.name].norms)
            raise ValueError(
                f"norm: {self.norm!r} is not one of {norms}, the norms that {self.name} can have"
            )
        _check_choice("activation", self.activation, ACTIVATIONS)
        _check_choice("pooling", self.pooling, POOLINGS)
        _check_integers(self, "width")
        if self.depth is not None:
            _check_integers(self, "depth")
        if self.norm == "group" and self.width % NORM_GROUPS:
            raise ValueError(f"width: {self.width} is not a multiple of {NORM_GROUPS}, as norm 'group' needs")
        chosen = [field for field in NETWORK_FIELDS if getattr(self, field) != getattr(NetworkConfig, field)]
        refuse_fields(self.name, chosen)


@dataclass(frozen=True, kw_only=True)
class PoolConfig:
    """Networks trained on the real training split, each kept at several moments of its training.

    networks: how many. epochs: of each one's training (core/engine/pool.py). width: of a ConvNet's blocks, at
        most: narrower ones are trained and matched in for less; None means as wide as the condensation's.
    """

    networks: int = 1
    epochs: int = 6
    width: int | None = None

    def __post_init__(self) -> None:
        _check_integers(self, "networks", "epochs")
        if self.width is not None:
            _check_integers(self, "width")


@dataclass(frozen=True, kw_only=True)
class CondenseConfig:
    """One condensation.

    ipc: stored images per class.
    batch_synthetic: synthetic images per class and iteration, at most, drawn from those that the stored ones
        turn into; None means all.
    objective, source, form: as their tables name them (core/engine/objectives, sources, forms).
    composed: whether images are matched after all of CHAINED that `augment` has, one after the other, in
        place of one op that is drawn anew for each class.
    clamp: whether pixels are brought back into [0, 1], which image files can hold, after every step.
    pool: of a source that needs trained networks, how they are trained.
    expert: weight of a trained network's cross-entropy on the synthetic images, beside the objective.
    lr: step size on the pixels; None means `default_lr(ipc)`. See also core/engine/recipes.
    lr_decay: the share of the iterations, at the end, over which lr falls linearly towards 0; 0, the paper's,
        is a constant lr.
    """

    ipc: int
    iterations: int = 20_000
    batch_real: int = 256
    batch_synthetic: int | None = None
    lr: float | None = None
    lr_decay: float = 0.0
    momentum: float = 0.5
    init: str = "real"
    augment: str = AUGMENT_ALL
    network: NetworkConfig = NetworkConfig()
    seed: int = 0
    objective: str = "mean"
    source: str = "fresh"
    form: str = "pixels"
    composed: bool = False
    clamp: bool = False
    pool: PoolConfig | None = None
    expert: float = 0.0

    def __post_init__(self) -> None:
        _check_integers(self, "ipc", "iterations", "batch_real", "seed")
        _check_choice("objective", self.objective, OBJECTIVES)
        _check_choice("source", self.source, SOURCES)
        _check_choice("form", self.form, FORMS)
        if self.batch_synthetic is not None:
            _check_integers(self, "batch_synthetic")
        _check_numbers(self, "lr_decay", "momentum", "expert")
        if SOURCES[self.source].needs_pool != (self.pool is not None):
            needs = "needs a pool of trained networks" if self.pool is None else "takes no pool"
            raise ValueError(f"pool: source {self.source!r} {needs}")
        if self.expert and self.pool is None:
            raise ValueError(f"expert: {self.expert!r} needs a source of trained networks")
        if self.lr is not None:
            _check_numbers(self, "lr")
        _check_choice("init", self.init, INITS)
        parse_augment(self.augment)

    @property
    def chain(self) -> tuple[str, ...]:
        """Of a composed augmentation, the ops in their order."""
        ops = parse_augment(self.augment)
        return tuple(op for op in CHAINED if op in ops)

    @property
    def factor(self) -> int:
        """f: a stored image turns into f²."""
        return FORMS[self.form].factor

    @property
    def images_per_class(self) -> int:
        """Those that a class's stored images turn into."""
        return self.ipc * self.factor**2

    @property
    def synthetic_per_iteration(self) -> int:
        """Of each class."""
        wanted = self.batch_synthetic or self.images_per_class
        return min(wanted, self.images_per_class)

    @property
    def matched_in(self) -> NetworkConfig:
        """The network that real and synthetic images are embedded by."""
        widest = None if self.pool is None else self.pool.width
        if widest is None or "width" not in NETWORKS[self.network.name].fields:
            return self.network
        return replace(self.network, width=min(self.network.width, widest))

    @property
    def resolved_lr(self) -> float:
        return default_lr(self.ipc) if self.lr is None else self.lr

    def lr_at(self, iteration: int) -> float:
        """Learning rate of `iteration`, counted from 1: positive up to the last one.

        A pure function of the configuration and the iteration, so that a resumed run needs no more of the
        schedule than its iteration to equal an uninterrupted one.
        """
        left = self.iterations - iteration + 1
        falling = self.lr_decay * self.iterations
        return self.resolved_lr if left >= falling else self.resolved_lr * (left / falling)


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Training of `networks` fresh networks on one set, each tested once, after its last epoch.

    epochs: by default the paper's; what another protocol asks for on a set is `protocol.epochs_on`.
    """

    network: NetworkConfig = NetworkConfig()
    networks: int = 5
    epochs: int = PAPER_EPOCHS
    protocol: EvaluationProtocol = PAPER
    augment: str = AUGMENT_ALL
    seed: int = 0

    def __post_init__(self) -> None:
        _check_integers(self, "networks", "epochs", "seed")
        _check_integers(self.protocol, "batch")
        _check_numbers(self.protocol, "lr", "momentum", "weight_decay")
        parse_augment(self.augment)
