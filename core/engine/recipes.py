"""The recipes by name: what fills in the settings of a condensation that were left open.

Imports nothing but the standard library, as config.py does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from core.engine.config import CondenseConfig, default_lr


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings for any number of images per class, named as in CondenseConfig; `lr` takes that number."""

    iterations: int
    batch_real: int
    lr: Callable[[int], float]
    lr_decay: float
    momentum: float

    def settings(self, ipc: int) -> dict[str, float]:
        """The fields of CondenseConfig that it fills in, with their values for `ipc` images per class."""
        return {
            "iterations": self.iterations,
            "batch_real": self.batch_real,
            "lr": self.lr(ipc),
            "lr_decay": self.lr_decay,
            "momentum": self.momentum,
        }


def _fast_lr(ipc: int) -> float:
    """The paper's for 100 images per class and more, for any number of them: larger steps, but fewer.

    Below 100 it is up to ten times the paper's. Above, no larger: the class mean divides the pull on each
    image by ipc, but the more images start as real ones, the closer their mean already is, and what a larger
    step then follows is mostly chance.
    """
    return default_lr(max(ipc, 100))


RECIPES: Mapping[str, Recipe] = {
    # The paper's, which are the defaults of the configuration. Jobs stored before lr_decay existed rely on
    # its being 0 here.
    "dm": Recipe(
        iterations=CondenseConfig.iterations,
        batch_real=CondenseConfig.batch_real,
        lr=default_lr,
        lr_decay=CondenseConfig.lr_decay,
        momentum=CondenseConfig.momentum,
    ),
    # Chosen by measurement on CIFAR-10 (docs/recipes.md): large steps, then ever smaller ones to average the
    # chance of small real batches out.
    "fast": Recipe(iterations=1_000, batch_real=64, lr=_fast_lr, lr_decay=0.5, momentum=0.5),
}
