"""What a user may ask of a job: the schema, its limits, and its translation for the engine.

Defaults are the engine's own (core/engine/config.py and recipes.py, which import no torch). Unset
values that depend on the recipe (iterations, learning rate, …) or on the data set (depth, …) are
resolved when the job is made, so that the stored spec says everything.
"""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from core.engine.config import (
    AUGMENT_OPS,
    CONVNET_FIELDS,
    INTEGER_LIMITS,
    NETWORK_NORMS,
    NUMBER_LIMITS,
    CondenseConfig,
    EvaluateConfig,
    NetworkConfig,
    default_depth,
    default_norm,
    parse_augment,
    refuse_convnet_fields,
)
from core.engine.recipes import RECIPES


def _whole(name: str, default: Any = ..., description: str | None = None) -> Any:
    low, high = INTEGER_LIMITS[name]
    return Field(default, ge=low, le=high, description=description)


def _number(name: str, default: Any, description: str | None = None) -> Any:
    low, high = NUMBER_LIMITS[name]
    return Field(default, ge=low, le=high, allow_inf_nan=False, description=description)


def _default_of(field: str) -> str:
    values = (f"{getattr(recipe, field):,} (`{name}`)" for name, recipe in RECIPES.items())
    return f"by default the recipe's: {', '.join(values)}."


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
Seed = Annotated[int, _whole("seed", description="The one seed of every random choice.")]


#: Of one object. Far more than any has, and few enough that naming each unknown one costs nothing.
MAX_FIELDS = 100


def few_fields(value: Any) -> Any:
    """A body of a megabyte can have a hundred thousand fields, and pydantic an error for each."""
    if isinstance(value, dict) and len(value) > MAX_FIELDS:
        raise ValueError(f"an object may have {MAX_FIELDS} fields, this one has {len(value)}")
    return value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    _few_fields = model_validator(mode="before")(few_fields)


def _what_networks_have(schema: dict[str, Any]) -> None:
    """The rules between the fields of a network, for OpenAPI."""
    null = {"type": "null"}
    schema["allOf"] = [
        {
            "if": {"required": ["name"], "properties": {"name": {"const": name}}},
            "then": {"properties": {"norm": {"enum": [*norms, None]}} | dict.fromkeys(CONVNET_FIELDS, null)},
        }
        for name, norms in NETWORK_NORMS.items()
        if name != "convnet"
    ]


class NetworkSpec(_Strict):
    """A network to match in and to evaluate on. Only `convnet` has a width, depth, activation and pooling."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_what_networks_have)

    name: Literal["convnet", "mlp", "lenet", "alexnet", "vgg11", "resnet18", "resnet18ap"] = Field(
        "convnet", description="`resnet18ap` is ResNet18 that halves by average pooling, not by strides."
    )
    width: int | None = _whole(
        "width", None, f"Channels of every block of `convnet`; by default {NetworkConfig.width}."
    )
    depth: int | None = _whole(
        "depth", None, "Blocks of `convnet`; by default chosen by image size (3 at 28 and 32 px)."
    )
    norm: Literal["none", "batch", "layer", "instance", "group"] | None = Field(
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
        refuse_convnet_fields(self.name, given)
        return NetworkConfig(**{"norm": default_norm(self.name)} | given)

    def resolved(self, image_size: int) -> "NetworkSpec":
        """The same, with the defaults of all that this network has filled in."""
        defaults: dict[str, Any] = {"norm": default_norm(self.name)}
        if self.name == "convnet":
            defaults |= {field: getattr(NetworkConfig, field) for field in CONVNET_FIELDS}
            defaults["depth"] = default_depth(image_size, image_size)
        return self.model_copy(update=defaults | self.model_dump(exclude_none=True))


#: An upper bound must have had the time to learn: even a set so large that one epoch of it has as many
#: steps as all epochs on a condensed one gets this many.
WHOLE_EPOCHS = 20

#: Of an accuracy curve, besides the finished set's: each costs an evaluation.
MAX_POINTS = 20


class EvaluationSpec(_Strict):
    """How the condensed set and its baselines are judged: fresh networks, tested once, at the last epoch."""

    networks: int = _whole("networks", EvaluateConfig.networks, "Networks trained per method.")
    epochs: int = _whole("epochs", EvaluateConfig.epochs, "Epochs on a set of ipc images per class.")
    whole_epochs: int | None = _whole(
        "epochs",
        None,
        "Epochs on the whole training split; by default as many as give it no fewer steps than the condensed "
        f"set gets, and at least {WHOLE_EPOCHS}.",
    )
    points: int = Field(
        0,
        ge=0,
        le=MAX_POINTS,
        description="How often the images are evaluated on the way, evenly spread over the iterations before "
        "the last, each time by as many networks as the finished set.",
    )
    baselines: list[Literal["random", "herding", "k-center", "whole"]] = Field(
        ["random", "whole"],
        max_length=4,
        description="What to train on besides, by the same recipe. `herding` and `k-center` choose images by "
        "the features of one more network, trained on the whole split.",
    )
    cross_architecture: list[NetworkSpec] = Field(
        [],
        max_length=8,
        description="Further networks to train on the condensed set and on its baselines; on the whole split "
        "only the job's own network is trained.",
    )


class JobSpec(_Strict):
    """A condensation: distribution matching (Zhao & Bilen, arXiv 2110.04181), then its evaluation."""

    recipe: Literal["dm", "fast"] = Field(
        "dm",
        description="Fills in iterations, batch_real, lr, lr_decay and momentum where they are not given: "
        "`dm` with the paper's values, `fast` with far fewer iterations, fewer real images in each, and a "
        "large learning rate that falls towards 0 in the second half.",
    )
    ipc: int = _whole("ipc", description="Synthetic images per class.")
    iterations: int | None = _whole(
        "iterations", None, f"Networks to match in, one each; {_default_of('iterations')}"
    )
    batch_real: int | None = _whole(
        "batch_real", None, f"Real images per class and iteration; {_default_of('batch_real')}"
    )
    lr: float | None = _number(
        "lr",
        None,
        "Step size on the pixels; by default the recipe's for this ipc: 1 up to 50 images per class and 10 "
        "from 100 (`dm`), or 10 for any number (`fast`).",
    )
    lr_decay: float | None = _number(
        "lr_decay",
        None,
        "Share of the iterations, at the end, over which lr falls linearly towards 0 (0: lr is constant); "
        f"{_default_of('lr_decay')}",
    )
    momentum: float | None = _number("momentum", None, f"Of the steps; {_default_of('momentum')}")
    init: Literal["real", "noise"] = "real"
    augment: Augment = CondenseConfig.augment
    network: NetworkSpec = NetworkSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    seed: Seed = 0

    def resolved(self, image_size: int, train_images: int, classes: int) -> "JobSpec":
        """The same, with the defaults that depend on the recipe or on the data set filled in.

        Args:
            image_size: pixels a side.
            train_images: of all classes, in the training split.
        """
        further = [one.resolved(image_size) for one in self.evaluation.cross_architecture]
        whole_epochs = self.evaluation.whole_epochs or self._whole_epochs(train_images, classes)
        evaluation = self.evaluation.model_copy(
            update={"cross_architecture": further, "whole_epochs": whole_epochs}
        )
        network = self.network.resolved(image_size)
        update = self._by_recipe() | {"network": network, "evaluation": evaluation}
        return self.model_copy(update=update)

    def _by_recipe(self) -> dict[str, Any]:
        """The fields that the recipe fills in where they were left open."""
        settings = RECIPES[self.recipe].settings(self.ipc)
        return settings | self.model_dump(include=set(settings), exclude_none=True)

    def _whole_epochs(self, train_images: int, classes: int) -> int:
        def steps(images: int) -> int:
            return math.ceil(images / EvaluateConfig.batch)

        as_many_steps = math.ceil(self.evaluation.epochs * steps(self.ipc * classes) / steps(train_images))
        return max(WHOLE_EPOCHS, as_many_steps)

    def architectures(self) -> "list[JobSpec]":
        """This job on each network that it is evaluated on, its own first; none has further ones."""
        evaluation = self.evaluation.model_copy(update={"cross_architecture": []})
        networks = [self.network, *self.evaluation.cross_architecture]
        return [self.model_copy(update={"network": one, "evaluation": evaluation}) for one in networks]

    def network_config(self) -> NetworkConfig:
        return self.network.config()

    def condense_config(self) -> CondenseConfig:
        # By the recipe for a stored spec too: one that is older than a field does not have it.
        chosen = self.model_dump(exclude={"recipe", "network", "evaluation"}) | self._by_recipe()
        return CondenseConfig(network=self.network_config(), **chosen)

    def evaluate_config(self, *, whole: bool = False) -> EvaluateConfig:
        """`whole`: for training on the whole set, which takes far more steps an epoch."""
        epochs = self.evaluation.whole_epochs if whole else self.evaluation.epochs
        assert epochs is not None, "the spec is not resolved"
        return EvaluateConfig(
            network=self.network_config(),
            networks=self.evaluation.networks,
            epochs=epochs,
            augment=self.augment,
            seed=self.seed,
        )

    def evaluated_at(self) -> list[int]:
        """After which iterations the images are evaluated on the way: fewer points than asked for if these
        are few."""
        assert self.iterations is not None, "the spec is not resolved"
        parts = self.evaluation.points + 1
        evenly = {round(part * self.iterations / parts) for part in range(1, parts)}
        return sorted(evenly - {0, self.iterations})

    def network_name(self) -> str:
        """The network as results name it, e.g. `convnet-d3-w128-instance` or `resnet18-batch`."""
        network = self.network
        if network.name != "convnet":
            return f"{network.name}-{network.norm}"
        named = f"convnet-d{network.depth}-w{network.width}-{network.norm}"
        for field in ("activation", "pooling"):
            if (chosen := getattr(network, field)) not in (None, getattr(NetworkConfig, field)):
                named += f"-{chosen}"
        return named
