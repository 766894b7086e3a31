"""What a user may ask of a condensation: the schema, its limits, and its translation for the engine.

Unset values that depend on the recipe (iterations, learning rate, …) or on the data set (depth, …) are
resolved when the job is made, so that the stored spec says everything.
"""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from core.engine.config import CondenseConfig
from core.engine.recipes import RECIPES
from core.strict import Strict
from core.trials.spec import (
    Augment,
    NetworkSpec,
    Seed,
    TrainingSpec,
    TrialPlan,
    number_field,
    whole_field,
)

if TYPE_CHECKING:
    Recipe = str
else:
    Recipe = Literal[tuple(RECIPES)]

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
        description="Fills in iterations, batch_real, lr, lr_decay and momentum where they are not given: "
        "`dm` with the paper's values, `fast` with far fewer iterations, fewer real images in each, and a "
        "large learning rate that falls towards 0 in the second half.",
    )
    ipc: int = whole_field("ipc", description="Synthetic images per class.")
    iterations: int | None = whole_field(
        "iterations", None, f"Networks to match in, one each; {_default_of('iterations')}"
    )
    batch_real: int | None = whole_field(
        "batch_real", None, f"Real images per class and iteration; {_default_of('batch_real')}"
    )
    lr: float | None = number_field(
        "lr",
        None,
        "Step size on the pixels; by default the recipe's for this ipc: 1 up to 50 images per class and 10 "
        "from 100 (`dm`), or 10 for any number (`fast`).",
    )
    lr_decay: float | None = number_field(
        "lr_decay",
        None,
        "Share of the iterations, at the end, over which lr falls linearly towards 0 (0: lr is constant); "
        f"{_default_of('lr_decay')}",
    )
    momentum: float | None = number_field("momentum", None, f"Of the steps; {_default_of('momentum')}")
    init: Literal["real", "noise"] = "real"
    augment: Augment = CondenseConfig.augment
    network: NetworkSpec = NetworkSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    seed: Seed = 0

    def resolved(self, image_size: int, train_images: int, classes: int) -> "CondenseSpec":
        """The same, with the defaults that depend on the recipe or on the data set filled in.

        Args:
            image_size: pixels a side.
            train_images: of all classes, in the training split.
        """
        further = [one.resolved(image_size) for one in self.evaluation.cross_architecture]
        whole_epochs = self.evaluation.resolved_whole_epochs(self.ipc * classes, train_images)
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

    def condense_config(self) -> CondenseConfig:
        # By the recipe for a stored spec too: one that is older than a field does not have it.
        chosen = self.model_dump(exclude={"recipe", "network", "evaluation"}) | self._by_recipe()
        return CondenseConfig(network=self.network.config(), **RECIPES[self.recipe].method(), **chosen)

    def trial_plan(self) -> TrialPlan:
        """Of the finished set."""
        asked = self.evaluation
        assert asked.whole_epochs is not None, "the spec is not resolved"
        return TrialPlan(
            networks=(self.network, *asked.cross_architecture),
            repeats=asked.networks,
            epochs=asked.epochs,
            whole_epochs=asked.whole_epochs,
            baselines=tuple(asked.baselines),
            augment=self.augment,
            seed=self.seed,
            ipc=self.ipc,
        )

    def evaluated_at(self) -> list[int]:
        """After which iterations the images are evaluated on the way: fewer points than asked for if these
        are few."""
        assert self.iterations is not None, "the spec is not resolved"
        parts = self.evaluation.points + 1
        evenly = {round(part * self.iterations / parts) for part in range(1, parts)}
        return sorted(evenly - {0, self.iterations})
