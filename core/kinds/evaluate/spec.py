"""What a user may ask of an evaluation."""

import math

from pydantic import Field

from core.engine.config import EvaluateConfig
from core.trials.spec import (
    COLLAGE_FACTOR,
    OLD_PROTOCOL,
    Augment,
    NetworkSpec,
    Seed,
    TrainingSpec,
    TrialPlan,
    whole_field,
)


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
        "ipc", None, "Images per class of the baselines; by default as many as the condensed set stores."
    )
    augment: Augment = EvaluateConfig.augment
    seed: Seed = 0

    set_ipc: int | None = Field(
        None,
        ge=1,
        description="Images per class that the condensed set is trained on as, which its own row says; more "
        "than are stored if those are collages. No other value is accepted.",
    )

    def resolved(
        self, *, image_size: int, train_images: int, classes: int, stored: int, decoded: int
    ) -> "EvaluateSpec":
        """The same, with the defaults that depend on the data set or on the condensed set filled in.

        Args:
            stored, decoded: images per class of the condensed set.
        """
        networks = [one.resolved(image_size) for one in self.architectures]
        training = self.resolved_training(
            networks[0],
            set_images=decoded * classes,
            train_images=train_images,
            collages=decoded > stored,
        )
        update = {"architectures": networks, "ipc": self.ipc or stored, "set_ipc": decoded}
        return self.model_copy(update=update | training)

    def _factor(self) -> int:
        """Of the collages beside the set: as many real images as it is trained on, if that can be."""
        assert self.ipc is not None
        factor = math.isqrt((self.set_ipc or self.ipc) // self.ipc)
        return factor if factor > 1 else COLLAGE_FACTOR

    def trial_plan(self) -> TrialPlan:
        assert self.ipc is not None and self.whole_epochs is not None and self.baselines is not None
        return TrialPlan(
            networks=tuple(self.architectures),
            repeats=self.networks,
            epochs=self.epochs,
            whole_epochs=self.whole_epochs,
            baselines=tuple(self.baselines),
            augment=self.augment,
            seed=self.seed,
            ipc=self.ipc,
            set_ipc=self.set_ipc or self.ipc,
            factor=self._factor(),
            protocol=self.protocol or OLD_PROTOCOL,
        )
