"""What a recipe is: the method of a condensation by name, and the settings that were left open."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A method, and settings for any number of images per class, named as in CondenseConfig.

    title, link: of the paper that it is from.
    objective, source, form: as their tables name them.
    lr: takes the number of images per class.
    """

    title: str
    link: str
    objective: str
    source: str
    form: str
    iterations: int
    batch_real: int
    lr: Callable[[int], float]
    lr_decay: float
    momentum: float

    def method(self) -> dict[str, Any]:
        """The fields of CondenseConfig that only a recipe decides."""
        return {"objective": self.objective, "source": self.source, "form": self.form}

    def settings(self, ipc: int) -> dict[str, float]:
        """The fields of CondenseConfig that it fills in, with their values for `ipc` images per class."""
        return {
            "iterations": self.iterations,
            "batch_real": self.batch_real,
            "lr": self.lr(ipc),
            "lr_decay": self.lr_decay,
            "momentum": self.momentum,
        }
