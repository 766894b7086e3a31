"""What a user may ask of an evaluation."""

from pydantic import Field

from core.engine.config import EvaluateConfig
from core.trials.spec import Augment, NetworkSpec, Seed, TrainingSpec, TrialPlan, whole_field


class EvaluateSpec(TrainingSpec):
    """A condensed set on a data set: fresh networks, trained on it and on baselines, tested once each."""

    architectures: list[NetworkSpec] = Field(
        [NetworkSpec()],
        min_length=1,
        max_length=9,
        description="What to train. The whole split is trained on the first alone, and it is that one whose "
        "features choose the images of `herding` and `k-center`.",
    )
    ipc: int | None = whole_field(
        "ipc", None, "Images per class of the baselines; by default as many as the condensed set has."
    )
    augment: Augment = EvaluateConfig.augment
    seed: Seed = 0

    def resolved(self, *, image_size: int, train_images: int, classes: int, set_ipc: int) -> "EvaluateSpec":
        """The same, with the defaults that depend on the data set or on the condensed set filled in."""
        ipc = self.ipc or set_ipc
        return self.model_copy(
            update={
                "architectures": [one.resolved(image_size) for one in self.architectures],
                "ipc": ipc,
                "whole_epochs": self.resolved_whole_epochs(ipc * classes, train_images),
            }
        )

    def trial_plan(self) -> TrialPlan:
        assert self.ipc is not None and self.whole_epochs is not None, "the spec is not resolved"
        return TrialPlan(
            networks=tuple(self.architectures),
            repeats=self.networks,
            epochs=self.epochs,
            whole_epochs=self.whole_epochs,
            baselines=tuple(self.baselines),
            augment=self.augment,
            seed=self.seed,
            ipc=self.ipc,
        )
