"""What a user may ask of trials: networks, how long they are trained, and beside what.

Defaults are the engine's own (core/engine/config.py, which imports no torch).
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from core.engine.config import (
    AUGMENT_OPS,
    INTEGER_LIMITS,
    NUMBER_LIMITS,
    EvaluateConfig,
    NetworkConfig,
    parse_augment,
)
from core.engine.networks import NETWORK_FIELDS, NETWORK_NAMES, NETWORKS, NORMS, default_norm, refuse_fields
from core.engine.networks.depth import default_depth
from core.errors import InvalidRequest
from core.strict import Strict
from core.trials.methods import BASELINES, METHODS, OF_THE_SET

if TYPE_CHECKING:
    Baseline = str
    NetworkName = str
    Norm = str
else:
    Baseline = Literal[BASELINES]
    NetworkName = Literal[NETWORK_NAMES]
    Norm = Literal[NORMS]

#: The only protocol, until there is another: the paper's.
PROTOCOL = "paper"


def whole_field(name: str, default: Any = ..., description: str | None = None) -> Any:
    low, high = INTEGER_LIMITS[name]
    return Field(default, ge=low, le=high, description=description)


def number_field(name: str, default: Any, description: str | None = None) -> Any:
    low, high = NUMBER_LIMITS[name]
    return Field(default, ge=low, le=high, allow_inf_nan=False, description=description)


def _known_ops(strategy: str) -> str:
    parse_augment(strategy)
    return strategy


_OPS = "|".join(AUGMENT_OPS)
_NONE_TWICE = "".join(f"(?!.*{op}.*{op})" for op in AUGMENT_OPS)

Augment = Annotated[
    str,
    AfterValidator(_known_ops),
    Field(
        max_length=80,
        description="DSA operations joined by `_`, or `none`. Leave `flip` out for digits.",
        examples=["color_crop_cutout_flip_scale_rotate", "color_crop_cutout_scale_rotate", "none"],
        json_schema_extra={"pattern": f"^{_NONE_TWICE}(none|({_OPS})(_({_OPS}))*)$"},
    ),
]
Seed = Annotated[int, whole_field("seed", description="The one seed of every random choice.")]


def _what_networks_have(schema: dict[str, Any]) -> None:
    """The rules between the fields of a network, for OpenAPI."""
    null = {"type": "null"}
    schema["allOf"] = [
        {
            "if": {"required": ["name"], "properties": {"name": {"const": name}}},
            "then": {"properties": {"norm": {"enum": [*entry.norms, None]}} | dict.fromkeys(fixed, null)},
        }
        for name, entry in NETWORKS.items()
        if (fixed := [field for field in NETWORK_FIELDS if field not in entry.fields])
    ]


class NetworkSpec(Strict):
    """A network to match in and to evaluate on. Only `convnet` has a width, depth, activation and pooling."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_what_networks_have)

    name: NetworkName = Field(
        "convnet", description="`resnet18ap` is ResNet18 that halves by average pooling, not by strides."
    )
    width: int | None = whole_field(
        "width", None, f"Channels of every block of `convnet`; by default {NetworkConfig.width}."
    )
    depth: int | None = whole_field(
        "depth", None, "Blocks of `convnet`; by default chosen by image size (3 at 28 and 32 px)."
    )
    norm: Norm | None = Field(
        None,
        description="By default `instance`, but `none` for `mlp` and `lenet`, which have no other. `alexnet` "
        "can have `none`, `batch` or `instance`; `vgg11`, `resnet18` and `resnet18ap` `batch` or `instance`.",
    )
    activation: Literal["sigmoid", "relu", "leakyrelu", "swish"] | None = Field(
        None, description=f"Of `convnet`; by default `{NetworkConfig.activation}`."
    )
    pooling: Literal["none", "max", "avg"] | None = Field(
        None, description=f"Of `convnet`; by default `{NetworkConfig.pooling}`."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        self.config()
        return self

    def config(self) -> NetworkConfig:
        given = self.model_dump(exclude_none=True)
        # The engine cannot tell a default that was asked for from one that was not.
        refuse_fields(self.name, given)
        return NetworkConfig(**{"norm": default_norm(self.name)} | given)

    def resolved(self, image_size: int) -> "NetworkSpec":
        """The same, with the defaults of all that this network has filled in."""
        defaults: dict[str, Any] = {"norm": default_norm(self.name)}
        defaults |= {field: getattr(NetworkConfig, field) for field in NETWORKS[self.name].fields}
        if "depth" in defaults:
            defaults["depth"] = default_depth(image_size, image_size)
        return self.model_copy(update=defaults | self.model_dump(exclude_none=True))

    def label(self) -> str:
        """The resolved network as results name it, e.g. `convnet-d3-w128-instance` or `resnet18-batch`."""
        if self.name != "convnet":
            return f"{self.name}-{self.norm}"
        named = f"convnet-d{self.depth}-w{self.width}-{self.norm}"
        for field in ("activation", "pooling"):
            if (chosen := getattr(self, field)) not in (None, getattr(NetworkConfig, field)):
                named += f"-{chosen}"
        return named


#: An upper bound must have had the time to learn: even a set so large that one epoch of it has as many
#: steps as all epochs on a condensed one gets this many.
WHOLE_EPOCHS = 20


class TrainingSpec(Strict):
    """How networks are trained on a condensed set, and on what it is compared with."""

    networks: int = whole_field("networks", EvaluateConfig.networks, "Networks trained per method.")
    epochs: int = whole_field("epochs", EvaluateConfig.epochs, "Epochs on a set of ipc images per class.")
    whole_epochs: int | None = whole_field(
        "epochs",
        None,
        "Epochs on the whole training split; by default as many as give it no fewer steps than the condensed "
        f"set gets, and at least {WHOLE_EPOCHS}.",
    )
    baselines: list[Baseline] = Field(
        ["random", "whole"],
        max_length=len(BASELINES),
        description="What to train on besides, by the same recipe. `herding` and `k-center` choose images by "
        "the features of one more network, trained on the whole split.",
    )

    def resolved_whole_epochs(self, set_images: int, train_images: int) -> int:
        """`whole_epochs`, filled in.

        Args:
            set_images: in the condensed set.
            train_images: of all classes, in the training split.
        """

        def steps(images: int) -> int:
            return math.ceil(images / EvaluateConfig.protocol.batch)

        if self.whole_epochs is not None:
            return self.whole_epochs
        as_many_steps = math.ceil(self.epochs * steps(set_images) / steps(train_images))
        return max(WHOLE_EPOCHS, as_many_steps)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One network to be trained and tested: on which set, of which architecture, its number from 0."""

    method: str
    network: NetworkSpec
    repeat: int


@dataclass(frozen=True, kw_only=True)
class TrialPlan:
    """The trials of a set of `ipc` images per class: resolved, so that it says everything.

    networks: the one first whose features choose images, and on which alone the whole split is trained.
    """

    networks: tuple[NetworkSpec, ...]
    repeats: int
    epochs: int
    whole_epochs: int
    baselines: tuple[str, ...]
    augment: str
    seed: int
    ipc: int
    protocol: str = PROTOCOL

    def config(self, network: NetworkSpec, *, whole: bool = False) -> EvaluateConfig:
        """`whole`: for training on the whole split, which takes far more steps an epoch."""
        return EvaluateConfig(
            network=network.config(),
            networks=self.repeats,
            epochs=self.whole_epochs if whole else self.epochs,
            augment=self.augment,
            seed=self.seed,
        )

    def entries(self) -> list[Entry]:
        """All networks to be trained, so that a comparison of everything is there early.

        First one network of each method and architecture on ipc images per class, then their repeats, and
        last the costly whole set, on the first network only.
        """
        small = [*OF_THE_SET, *(m for m in METHODS if m in self.baselines and m != "whole")]
        entries = [
            Entry(method=method, network=network, repeat=repeat)
            for repeat in range(self.repeats)
            for network in self.networks
            for method in small
        ]
        if "whole" in self.baselines:
            own = self.networks[0]
            entries += [Entry(method="whole", network=own, repeat=repeat) for repeat in range(self.repeats)]
        return entries

    def network(self, name: str) -> NetworkSpec:
        return next(one for one in self.networks if one.label() == name)


def check_networks(networks: list[tuple[str, NetworkSpec]], image_size: int) -> None:
    """Whether these resolved networks, each with the JSON pointer to it, may stand in one evaluation.

    Raises:
        InvalidRequest: one is too deep for the images, or two are the same.
    """
    seen: set[str] = set()
    for pointer, network in networks:
        depth, limit = network.depth, image_size.bit_length() - 1
        if depth is not None and network.pooling != "none" and depth > limit:
            raise InvalidRequest(
                f"{pointer[1:].replace('/', '.')}.depth is {depth}; the limit for images of {image_size} px "
                f"is {limit}",
                code="network_too_deep",
                pointer=f"{pointer}/depth",
                limit=limit,
                value=depth,
            )
        if network.label() in seen:
            raise InvalidRequest(
                f"network {network.label()} is listed twice: remove one or change an option",
                code="network_repeated",
                pointer=pointer,
                value=network.label(),
            )
        seen.add(network.label())
