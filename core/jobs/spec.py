"""What a user may ask of a job: the schema, its limits, and its translation for the engine.

Defaults are the engine's own (core/engine/config.py, which imports no torch). Unset values that
depend on the data set (depth, learning rate) are resolved when the job is made, so that the stored
spec says everything.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from core.engine.config import (
    INTEGER_LIMITS,
    NUMBER_LIMITS,
    CondenseConfig,
    EvaluateConfig,
    NetworkConfig,
    default_depth,
    default_lr,
    parse_augment,
)


def _whole(name: str, default: Any = ..., description: str | None = None) -> Any:
    low, high = INTEGER_LIMITS[name]
    return Field(default, ge=low, le=high, description=description)


def _number(name: str, default: Any, description: str | None = None) -> Any:
    low, high = NUMBER_LIMITS[name]
    return Field(default, ge=low, le=high, allow_inf_nan=False, description=description)


def _known_ops(strategy: str) -> str:
    parse_augment(strategy)
    return strategy


Augment = Annotated[
    str,
    AfterValidator(_known_ops),
    Field(
        max_length=80,
        description="DSA operations joined by `_`, or `none`. Leave `flip` out for digits.",
        examples=["color_crop_cutout_flip_scale_rotate", "color_crop_cutout_scale_rotate", "none"],
    ),
]
Seed = Annotated[int, _whole("seed", description="The one seed of every random choice.")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkSpec(_Strict):
    """A network to match in and to evaluate on."""

    name: Literal["convnet"] = "convnet"
    width: int = _whole("width", NetworkConfig.width, "Channels of every block.")
    depth: int | None = _whole("depth", None, "Blocks; by default chosen by image size (3 at 28 and 32 px).")
    norm: Literal["none", "batch", "layer", "instance", "group"] = "instance"
    activation: Literal["sigmoid", "relu", "leakyrelu", "swish"] = "relu"
    pooling: Literal["none", "max", "avg"] = "avg"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        NetworkConfig(**self.model_dump())
        return self


class EvaluationSpec(_Strict):
    """How the condensed set and its baselines are judged: fresh networks, tested once, at the last epoch."""

    networks: int = _whole("networks", EvaluateConfig.networks, "Networks trained per method.")
    epochs: int = _whole("epochs", EvaluateConfig.epochs, "Epochs on a set of ipc images per class.")
    whole_epochs: int = _whole("epochs", 20, "Epochs on the whole training split.")
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

    recipe: Literal["dm"] = "dm"
    ipc: int = _whole("ipc", description="Synthetic images per class.")
    iterations: int = _whole("iterations", CondenseConfig.iterations)
    batch_real: int = _whole("batch_real", CondenseConfig.batch_real, "Real images per class and iteration.")
    lr: float | None = _number("lr", None, "Step size on the pixels; by default by ipc.")
    momentum: float = _number("momentum", CondenseConfig.momentum)
    init: Literal["real", "noise"] = "real"
    augment: Augment = CondenseConfig.augment
    network: NetworkSpec = NetworkSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    seed: Seed = 0

    def resolved(self, image_size: int) -> "JobSpec":
        """The same, with the defaults that depend on the data set filled in."""
        depth = self.network.depth or default_depth(image_size, image_size)
        network = self.network.model_copy(update={"depth": depth})
        lr = self.lr if self.lr is not None else default_lr(self.ipc)
        further = [on.resolved(image_size).network for on in self.architectures()[1:]]
        evaluation = self.evaluation.model_copy(update={"cross_architecture": further})
        return self.model_copy(update={"network": network, "lr": lr, "evaluation": evaluation})

    def architectures(self) -> "list[JobSpec]":
        """This job on each network that it is evaluated on, its own first; none has further ones."""
        evaluation = self.evaluation.model_copy(update={"cross_architecture": []})
        networks = [self.network, *self.evaluation.cross_architecture]
        return [self.model_copy(update={"network": one, "evaluation": evaluation}) for one in networks]

    def network_config(self) -> NetworkConfig:
        return NetworkConfig(**self.network.model_dump())

    def condense_config(self) -> CondenseConfig:
        chosen = self.model_dump(exclude={"recipe", "network", "evaluation"})
        return CondenseConfig(network=self.network_config(), **chosen)

    def evaluate_config(self, *, whole: bool = False) -> EvaluateConfig:
        """`whole`: for training on the whole set, which takes far more steps an epoch."""
        return EvaluateConfig(
            network=self.network_config(),
            networks=self.evaluation.networks,
            epochs=self.evaluation.whole_epochs if whole else self.evaluation.epochs,
            augment=self.augment,
            seed=self.seed,
        )

    def network_name(self) -> str:
        """The network as results name it, e.g. `convnet-d3-w128-instance`."""
        network = self.network
        return f"{network.name}-d{network.depth}-w{network.width}-{network.norm}"
