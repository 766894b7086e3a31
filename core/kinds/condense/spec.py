"""What a user may ask of a condensation: the schema, its limits, and its translation for the engine.

Unset values that depend on the recipe (iterations, learning rate, …) or on the data set (depth, …) are
resolved when the job is made, so that the stored spec says everything.
"""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from core.data.advice import LOST_BY_COLLAGES, MIN_COLLAGE_SIZE, MOST_IPC_OF_LOSSY_COLLAGES
from core.engine.config import CondenseConfig, EvaluateConfig
from core.engine.forms import FORMS
from core.engine.objectives import OBJECTIVES
from core.engine.recipes import RECIPES
from core.strict import Strict
from core.trials.spec import (
    COLLAGE_FACTOR,
    OLD_PROTOCOL,
    Augment,
    NetworkSpec,
    Seed,
    TrainingSpec,
    TrialPlan,
    number_field,
    whole_field,
)

if TYPE_CHECKING:
    FormName = str
    ObjectiveName = str
    Recipe = str
else:
    FormName = Literal[tuple(FORMS)]
    ObjectiveName = Literal[tuple(OBJECTIVES)]
    Recipe = Literal[tuple(RECIPES)]

PIXELS = "pixels"

#: Of an accuracy curve, besides the finished set's: each costs an evaluation.
MAX_POINTS = 20


def _default_of(field: str) -> str:
    values = (f"{getattr(recipe, field):,} (`{name}`)" for name, recipe in RECIPES.items())
    return f"by default the recipe's: {', '.join(values)}."


class EvaluationSpec(TrainingSpec):
    """How the condensed set and its baselines are judged: fresh networks, tested once, at the last epoch."""

    points: int = Field(
        0,
        ge=0,
        le=MAX_POINTS,
        description="How often the images are evaluated on the way, evenly spread over the iterations before "
        "the last, each time by as many networks as the finished set.",
    )
    cross_architecture: list[NetworkSpec] = Field(
        [],
        max_length=8,
        description="Further networks to train on the condensed set and on its baselines; on the whole split "
        "only the job's own network is trained.",
    )


class CondenseSpec(Strict):
    """A condensation: distribution matching (Zhao & Bilen, arXiv 2110.04181), then its evaluation."""

    recipe: Recipe = Field(
        "dm",
        description="The method, and the settings that are not given. `dm`: distribution matching with the "
        "paper's values. `fast`: the same in far fewer iterations, with fewer real images in each and a "
        "large learning rate that falls towards 0 in the second half. `dance`: collages, matched in networks "
        "that are trained first and judged by an expert, with values near that paper's. `dance-short`: the "
        "same for CPUs and small GPUs.",
    )
    ipc: int = whole_field("ipc", description="Synthetic images per class.")
    iterations: int | None = whole_field(
        "iterations", None, f"Networks to match in, one each; {_default_of('iterations')}"
    )
    batch_real: int | None = whole_field(
        "batch_real", None, f"Real images per class and iteration; {_default_of('batch_real')}"
    )
    batch_synthetic: int | None = whole_field(
        "batch_synthetic",
        None,
        "Synthetic images per class and iteration, at most, drawn from all that the stored ones turn into; "
        "by default the recipe's, or all.",
    )
    lr: float | None = number_field(
        "lr",
        None,
        "Step size on the pixels; by default the recipe's for this ipc (docs/recipes.md).",
    )
    lr_decay: float | None = number_field(
        "lr_decay",
        None,
        "Share of the iterations, at the end, over which lr falls linearly towards 0 (0: lr is constant); "
        f"{_default_of('lr_decay')}",
    )
    momentum: float | None = number_field("momentum", None, f"Of the steps; {_default_of('momentum')}")
    form: FormName | None = Field(
        None,
        description="How images are stored: `pixels` as they are, `collage-2` and `collage-3` as collages of "
        "2 × 2 or 3 × 3 small images, each of which is enlarged when it is trained on. By default the "
        f"recipe's, but `pixels` for images of less than {MIN_COLLAGE_SIZE} px, and for more than "
        f"{MOST_IPC_OF_LOSSY_COLLAGES} images per class if collages lose more than {LOST_BY_COLLAGES:.0%} of "
        "what the data set's images show (its report says how much).",
    )
    objective: ObjectiveName | None = Field(
        None,
        description="What of real and synthetic images is matched (docs/recipes.md); by default the "
        "recipe's.",
    )
    init: Literal["real", "noise"] = "real"
    augment: Augment = CondenseConfig.augment
    network: NetworkSpec = NetworkSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    seed: Seed = 0

    def resolved(
        self, image_size: int, train_images: int, classes: int, lost: float | None = None
    ) -> "CondenseSpec":
        """The same, with the defaults that depend on the recipe or on the data set filled in.

        Args:
            image_size: pixels a side.
            train_images: of all classes, in the training split.
            lost: share of what the images show that collages lose, if it is known.
        """
        further = [one.resolved(image_size) for one in self.evaluation.cross_architecture]
        network, by_recipe = self.network.resolved(image_size), self._by_recipe(image_size, lost)
        factor = FORMS[by_recipe["form"]].factor
        training = self.evaluation.resolved_training(
            network,
            set_images=self.ipc * factor**2 * classes,
            train_images=train_images,
            collages=factor > 1,
        )
        evaluation = self.evaluation.model_copy(update={"cross_architecture": further, **training})
        return self.model_copy(update=by_recipe | {"network": network, "evaluation": evaluation})

    def _by_recipe(self, image_size: int = MIN_COLLAGE_SIZE, lost: float | None = None) -> dict[str, Any]:
        """The fields that the recipe fills in where they were left open."""
        settings = RECIPES[self.recipe].settings(self.ipc)
        lossy = lost is not None and lost > LOST_BY_COLLAGES and self.ipc > MOST_IPC_OF_LOSSY_COLLAGES
        if lossy or image_size < MIN_COLLAGE_SIZE:
            settings["form"] = PIXELS
        return settings | self.model_dump(include=set(settings), exclude_none=True)

    def as_before_protocols(self) -> dict[str, Any] | None:
        """The same request as JSON, as it was before there were forms, objectives and protocols to choose."""
        spec = self.model_dump(mode="json")
        evaluation = spec["evaluation"]
        newer = [spec.pop(name) for name in ("form", "objective", "batch_synthetic")]
        if [*newer, evaluation.pop("protocol")] != [None] * 4:
            return None
        if evaluation["epochs"] is None:
            evaluation["epochs"] = EvaluateConfig.epochs
        if evaluation["baselines"] is None:
            evaluation["baselines"] = ["random", "whole"]
        return spec

    def needs_pool(self) -> bool:
        """Whether it matches in networks that are trained first."""
        return RECIPES[self.recipe].pool is not None

    def condense_config(self) -> CondenseConfig:
        # By the recipe for a stored spec too: one that is older than a field does not have it.
        chosen = self.model_dump(exclude={"recipe", "network", "evaluation"}) | self._by_recipe()
        method = RECIPES[self.recipe].method(self.ipc)
        return CondenseConfig(network=self.network.config(), **method, **chosen)

    def trial_plan(self) -> TrialPlan:
        """Of the finished set."""
        asked, config = self.evaluation, self.condense_config()
        assert asked.whole_epochs is not None and asked.baselines is not None, "the spec is not resolved"
        return TrialPlan(
            networks=(self.network, *asked.cross_architecture),
            repeats=asked.networks,
            epochs=asked.epochs,
            whole_epochs=asked.whole_epochs,
            baselines=tuple(asked.baselines),
            augment=self.augment,
            seed=self.seed,
            ipc=self.ipc,
            set_ipc=config.images_per_class,
            factor=config.factor if config.factor > 1 else COLLAGE_FACTOR,
            protocol=asked.protocol or OLD_PROTOCOL,
        )

    def evaluated_at(self) -> list[int]:
        """After which iterations the images are evaluated on the way: fewer points than asked for if these
        are few."""
        assert self.iterations is not None, "the spec is not resolved"
        parts = self.evaluation.points + 1
        evenly = {round(part * self.iterations / parts) for part in range(1, parts)}
        return sorted(evenly - {0, self.iterations})
