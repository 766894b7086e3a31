"""One trial: what a network is trained on, and its training with progress."""

import math
from collections.abc import Callable, Generator
from typing import TypeVar

import torch
from torch import Tensor

from core.engine.baselines import Embed
from core.engine.config import EvaluateConfig
from core.engine.evaluate import Progress, Score, train_and_score
from core.engine.forms.collage import collages_of, decode, grey
from core.engine.images import LabelledImages
from core.engine.state import decoded_labels, synthetic_labels
from core.trials.methods import METHODS
from core.trials.spec import Entry, TrialPlan

Trained = TypeVar("Trained")
TrainingSet = tuple[Tensor, Tensor] | LabelledImages


def training_set(
    plan: TrialPlan,
    method: str,
    images: tuple[Tensor, Tensor] | None,
    real: LabelledImages,
    selected_N: Tensor | None,
    device: torch.device,
) -> TrainingSet:
    """What a network of this method is trained on.

    Args:
        images: synthetic ones NCHW and their labels, of a method that trains on them.
        selected_N: indices into `real`, of a method that selects.
    """
    match METHODS[method].of:
        case "whole":
            return real
        case "set":
            assert images is not None
            images_NCHW, labels_N = images
            return METHODS[method].function()(images_NCHW, labels_N, real), labels_N
        case "collages":
            assert selected_N is not None
            collages_NCHW = collages_of(real, selected_N, plan.ipc, plan.factor, device)
            return decode(collages_NCHW, plan.factor, grey(real)), decoded_labels(real, plan.ipc, plan.factor)
    assert selected_N is not None
    return real.normalised(selected_N, device), synthetic_labels(real, plan.ipc)


def select(
    plan: TrialPlan, method: str, real: LabelledImages, embed: Embed | None, device: torch.device
) -> Tensor:
    """Indices (N,), int64, of the real images that a method chooses: by plan and data alone, so that whoever
    chooses them again gets the same."""
    selected_N: Tensor = METHODS[method].function()(
        real, plan.trained_per_class(method), plan.seed, embed, device
    )  # fmt: skip
    return selected_N


def steps_of_trial(
    plan: TrialPlan, entry: Entry, on: TrainingSet, test: LabelledImages, device: torch.device
) -> Generator[Progress, None, Score]:
    """The training and the test of one network, yielding after each step."""
    return train_and_score(on, test, config_of(plan, entry, on), entry.repeat, device=device)


def config_of(plan: TrialPlan, entry: Entry, on: TrainingSet) -> EvaluateConfig:
    """How the network is trained on this set."""
    whole = METHODS[entry.method].of == "whole"
    return plan.config(entry.network, count_of(on), whole=whole)


def count_of(on: TrainingSet) -> int:
    """Images that it holds."""
    return len(on[1] if isinstance(on, tuple) else on)


def finish(steps: Generator[Progress, None, Trained], report: Callable[[Progress], None]) -> Trained:
    """What the training returns. `report` is called after each of its steps, and may end it by raising."""
    while True:
        try:
            at = next(steps)
        except StopIteration as finished:
            trained: Trained = finished.value
            return trained
        report(at)


class SmallerBatches:
    """Notices each time that memory ran out while a network was trained or tested."""

    def __init__(self, report: Callable[[int], None]) -> None:
        self._report = report
        self._reported = math.inf

    def check(self, at: Progress) -> None:
        # A test, which takes less, may fit in larger parts than the training before it.
        if at.micro_batch is not None and at.micro_batch < self._reported:
            self._reported = at.micro_batch
            self._report(at.micro_batch)
