"""How long the networks of an evaluation still take, by those that were trained."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from core.engine.config import EvaluateConfig
from core.engine.flops import TRAINING_PASSES


@dataclass(frozen=True, kw_only=True)
class Training:
    """A network to be trained: which set, which architecture, its number from 0."""

    method: str
    network: str
    repeat: int


def work_of(config: EvaluateConfig, train_images: int, test_images: int) -> float:
    """What a network takes, in images once forward."""
    return float(TRAINING_PASSES * config.epochs * train_images + test_images)


class TimeLeft:
    """Judges by work done: of the same network, and of sets of the same size where there is one.

    A network is judged only by others of its own architecture: until one of each is under way, nothing is
    said. Batches of a set that is smaller than a batch take more time an image on a GPU, so that before the
    whole set is under way its share is estimated rather too high.
    """

    def __init__(self, work: Mapping[Training, float]) -> None:
        self._pending = dict(work)
        self._measured: dict[tuple[str, bool], list[tuple[float, float]]] = {}
        self._now: Training | None = None
        self._began = self._share = 0.0

    def expect(self, training: Training, work: float) -> None:
        """One more that is to be done."""
        self._pending[training] = work

    def begin(self, training: Training) -> None:
        self._now, self._began, self._share = training, time.monotonic(), 0.0

    def step(self, share: float) -> None:
        """So much of the training under way is done, of 1."""
        self._share = share

    def end(self, training: Training, seconds: float) -> None:
        """It is trained and tested, by this attempt or an earlier one."""
        work = self._pending.pop(training)
        self._measured.setdefault(_kind(training), []).append((seconds, work))
        if training == self._now:
            self._now, self._share = None, 0.0

    def seconds_left(self, workers: int = 1) -> float | None:
        """Of all that is not done, by so many workers; None while some architecture was never begun."""
        measured = {kind: list(found) for kind, found in self._measured.items()}
        if self._now is not None and self._share:
            done = (time.monotonic() - self._began, self._share * self._pending[self._now])
            measured.setdefault(_kind(self._now), []).append(done)
        left = 0.0
        for training, work in self._pending.items():
            network, whole = kind = _kind(training)
            found = measured.get(kind) or measured.get((network, not whole))
            if not found:
                return None
            share_left = 1 - self._share if training == self._now else 1.0
            left += share_left * work * sum(s for s, _ in found) / sum(w for _, w in found)
        return left / workers


def _kind(training: Training) -> tuple[str, bool]:
    return training.network, training.method in ("whole", "features")
