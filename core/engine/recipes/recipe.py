"""What a recipe is: the method of a condensation by name, and the settings that were left open."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.engine.config import PoolConfig


def none(ipc: int) -> float:
    """No expert, for any number of images per class."""
    return 0.0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A method, and settings for any number of images per class, named as in CondenseConfig.

    title, link: of the paper that it is from.
    objective, source, form: as their tables name them.
    lr, expert: take the number of images per class.
    """

    title: str
    link: str
    objective: str
    source: str
    form: str
    composed: bool = False
    clamp: bool = False
    iterations: int
    batch_real: int
    batch_synthetic: int | None = None
    lr: Callable[[int], float]
    lr_decay: float
    momentum: float
    pool: PoolConfig | None = None
    expert: Callable[[int], float] = none

    def method(self, ipc: int) -> dict[str, Any]:
        """The fields of CondenseConfig that only a recipe decides."""
        return {
            "source": self.source,
            "composed": self.composed,
            "clamp": self.clamp,
            "pool": self.pool,
            "expert": self.expert(ipc),
        }

    def settings(self, ipc: int) -> dict[str, Any]:
        """The fields of CondenseConfig that it fills in, with their values for `ipc` images per class."""
        return {
            "objective": self.objective,
            "form": self.form,
            "iterations": self.iterations,
            "batch_real": self.batch_real,
            "batch_synthetic": self.batch_synthetic,
            "lr": self.lr(ipc),
            "lr_decay": self.lr_decay,
            "momentum": self.momentum,
        }
