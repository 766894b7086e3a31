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
from core.engine.protocols import PROTOCOLS, fitting
from core.errors import InvalidRequest
from core.strict import Strict
from core.trials.methods import BASELINES, METHODS, OF_THE_SET

if TYPE_CHECKING:
    Baseline = str
    NetworkName = str
    Norm = str
    ProtocolName = str
else:
    Baseline = Literal[BASELINES]
    NetworkName = Literal[NETWORK_NAMES]
    Norm = Literal[NORMS]
    ProtocolName = Literal[("auto", *PROTOCOLS)]

#: Of specs that are older than the choice between protocols.
OLD_PROTOCOL = "paper"
#: That of each network its own: what a new job does unless it is told otherwise.
AUTO = "auto"

#: Of the collages beside a set whose stored images are no collages.
COLLAGE_FACTOR = 2


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

    def protocol(self, wanted: str) -> str:
        """The name of the protocol that this network is trained by, where `wanted` was asked for."""
        return fitting(self.name, self.norm) if wanted == AUTO else wanted


#: An upper bound must have had the time to learn: even a set so large that one epoch of it has as many
#: steps as all epochs on a condensed one gets this many.
WHOLE_EPOCHS = 20


class TrainingSpec(Strict):
    """How networks are trained on a condensed set, and on what it is compared with."""

    networks: int = whole_field("networks", EvaluateConfig.networks, "Networks trained per method.")
    protocol: ProtocolName | None = Field(
        None,
        description="How each network is trained: `paper` is that of Zhao & Bilen; `long` takes at least "
        f"{PROTOCOLS['long'].steps:,} steps in smaller batches, with CutMix; `adamw` is for networks with "
        "batch norm and for ResNets; `auto`, the default, is `adamw` for those and `long` for all others.",
    )
    epochs: int | None = whole_field(
        "epochs",
        None,
        "Epochs on a set of images; by default as many as the protocol asks for on its images.",
    )
    whole_epochs: int | None = whole_field(
        "epochs",
        None,
        "Epochs on the whole training split; by default as many as give it no fewer steps than the condensed "
        f"set gets, and at least {WHOLE_EPOCHS}.",
    )
    baselines: list[Baseline] | None = Field(
        None,
        max_length=len(BASELINES),
        description="What to train on besides, by the same protocol; by default `random`, `random-collage` "
        "where the set is one of collages, and `whole`. `random-collage` is as many real images as the "
        "set's collages hold, made collages in the same way. `herding` and `k-center` choose images by "
        "the features of one more network, trained on the whole split.",
    )

    def resolved_training(
        self, own: NetworkSpec, *, set_images: int, train_images: int, collages: bool
    ) -> dict[str, Any]:
        """The fields of this class that were left open, filled in.

        Args:
            own: the network, resolved, that the whole split is trained on.
            set_images: that the condensed set is trained on as, of all classes.
            train_images: of all classes, in the training split.
            collages: whether a stored image of the set turns into several.
        """
        wanted = self.protocol or AUTO
        baselines = self.baselines
        if baselines is None:
            baselines = ["random", *(["random-collage"] if collages else []), "whole"]
        protocol = PROTOCOLS[own.protocol(wanted)]
        whole_epochs = self.whole_epochs
        if whole_epochs is None:
            epochs = self.epochs or protocol.epochs_on(set_images)
            steps = epochs * protocol.steps_an_epoch(set_images)
            whole_epochs = max(WHOLE_EPOCHS, math.ceil(steps / protocol.steps_an_epoch(train_images)))
        return {"protocol": wanted, "baselines": baselines, "whole_epochs": whole_epochs}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One network to be trained and tested: on which set, of which architecture, its number from 0."""

    method: str
    network: NetworkSpec
    repeat: int


@dataclass(frozen=True, kw_only=True)
class TrialPlan:
    """The trials of a set of `ipc` stored images per class: resolved, so that it says everything.

    networks: the one first whose features choose images, and on which alone the whole split is trained.
    epochs: None means what the protocol asks for. set_ipc: images per class that the set is trained on as.
    factor: f of collages: f² real images in the place of one.
    """

    networks: tuple[NetworkSpec, ...]
    repeats: int
    epochs: int | None
    whole_epochs: int
    baselines: tuple[str, ...]
    augment: str
    seed: int
    ipc: int
    set_ipc: int
    factor: int
    protocol: str

    def config(self, network: NetworkSpec, images: int, *, whole: bool = False) -> EvaluateConfig:
        """Of a training on so many images. `whole`: on the whole split, which has epochs of its own."""
        protocol = PROTOCOLS[self.protocol_of(network)]
        epochs = self.whole_epochs if whole else self.epochs or protocol.epochs_on(images)
        return EvaluateConfig(
            network=network.config(),
            networks=self.repeats,
            epochs=epochs,
            protocol=protocol,
            augment=self.augment,
            seed=self.seed,
        )

    def protocol_of(self, network: NetworkSpec) -> str:
        """The name of that which the network is trained by."""
        return network.protocol(self.protocol)

    def trained_per_class(self, method: str) -> int:
        """Images of each class that a network is trained on; not of the whole split."""
        match METHODS[method].of:
            case "set":
                return self.set_ipc
            case "collages":
                return self.ipc * self.factor**2
        return self.ipc

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
