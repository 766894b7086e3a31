"""What a phase is given to work with: its inputs, and a place for whatever it finds.

The worker's attempt implements it (worker/work.py): every write is a transaction under the attempt's fence,
and each that is named so also delivers a request to stop.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL.Image import Image
from torch import Tensor

from core.db.models import Trial
from core.engine.config import EvaluateConfig
from core.engine.evaluate import Score
from core.engine.images import LabelledImages
from core.engine.pool import Pool, PoolNetwork
from core.export.artifacts import WrittenArtifact
from core.export.condensed import CondensedSet
from core.trials.spec import Entry, TrialPlan


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A state to go on from: named tensors after so many steps, and facts in words."""

    tensors: Mapping[str, Tensor]
    step: int
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Point:
    """Of a curve: `seconds` of computing since the attempt began."""

    series: str
    x: int
    value: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class TrialState:
    """Where a trial is. `selection` names the stored images of its training set, if they were chosen."""

    id: str
    method: str
    network: str
    repeat: int
    step: int
    state: str
    selection: str | None
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Source:
    """The data set: its name, licence and content hash, and what its manifest says."""

    name: str
    license: str | None
    sha256: str
    classes: Sequence[str]
    split_rule: str
    report: Mapping[str, Any]


class GoBack(Exception):
    """The finished images are damaged: the job goes back to the phase that makes them."""

    def __init__(self, phase: str) -> None:
        super().__init__(phase)
        self.phase = phase


class Given(Protocol):
    """What a job works on.

    spec: of the job, resolved. plan: its trials. condensed: the set that it takes, if its kind takes one.
    """

    @property
    def spec(self) -> Any: ...
    @property
    def plan(self) -> TrialPlan: ...
    @property
    def source(self) -> Source: ...
    @property
    def train(self) -> LabelledImages: ...
    @property
    def test(self) -> LabelledImages: ...
    @property
    def condensed(self) -> CondensedSet: ...
    @property
    def device(self) -> torch.device: ...

    def images(self) -> tuple[Tensor, Tensor]:
        """The synthetic images NCHW, normalised float32 on the device, and their labels (N,), int64.

        Raises:
            GoBack, JobError: they are damaged.
        """
        ...

    def load(self, device: torch.device) -> Saved | None:
        """The newest saved state that is whole; a damaged one is stepped over and reported."""
        ...


class Work(Given, Protocol):
    """Given, and a place for what is found.

    Every method that writes may raise LeaseLost, StorageFull and StorageUnavailable.

    progress: the newest that any attempt has reported, {} before the first. result: what attempts have kept.
    """

    @property
    def progress(self) -> Mapping[str, Any]: ...
    @property
    def result(self) -> Mapping[str, Any]: ...
    @property
    def checkpoint_seconds(self) -> float: ...

    @property
    def asked_to_stop(self) -> bool:
        """Whether a request to stop has been delivered."""
        ...

    def stop_if_asked(self) -> None:
        """Raises StopRequested."""
        ...

    def due(self) -> bool:
        """Whether it is time for a progress report."""
        ...

    def report(
        self,
        done: float,
        total: float,
        text: str,
        *,
        seconds_left: float | None = None,
        step: int | None = None,
        points: Sequence[Point] = (),
        kept: Mapping[str, Any] | None = None,
        **facts: Any,
    ) -> None:
        """Record progress in this phase: `done` of `total`, said in `text`; learn of a request to stop.

        Args:
            seconds_left: of this phase, if it can be judged.
            step: steps of the phase that are done, for whoever reads the job.
            points: of curves, in the same transaction.
            kept: facts that stay in the job's progress, but not in every event.
            facts: more about it, for the event and for the job's progress.
        """
        ...

    def record(self, event: str, data: Mapping[str, Any], **values: Any) -> None:
        """One event, with values of the job's row (`result`, `progress`) in its transaction."""
        ...

    def resumed(self, step: int, result: Mapping[str, Any] | None) -> None:
        """Record that the attempt goes on from a state after so many steps; `result`, if any, replaces the
        job's."""
        ...

    def save(self, saved: Saved) -> None:
        """Make a state durable, then known."""
        ...

    def picture(self, step: int, image: Image) -> None:
        """Show the images after so many steps. What an earlier attempt showed of the same is replaced."""
        ...

    def trials(self, group: str) -> list[TrialState]:
        """All of a group that were offered or kept, in their order."""
        ...

    def offer_trials(self, group: str, entries: Mapping[int, Entry], selection: str | None = None) -> None:
        """Let every free worker do these trials; each by its place among all, and none twice."""
        ...

    def take_trial(self, trial_id: str) -> bool:
        """Take a waiting one for this attempt. False if somebody else was first."""
        ...

    def finish_trial(self, trial_id: str, score: Score, *, epochs: int, train_images: int) -> None:
        """The result of a trial that this attempt has taken."""
        ...

    def keep_point(self, group: str, entry: Entry, step: int, score: Score) -> None:
        """The result of a trial on images that only this attempt has: one point of the curve `group`."""
        ...

    def pooled(self, training: EvaluateConfig) -> set[int]:
        """Numbers of the networks so trained on these data that are kept, by whatever job."""
        ...

    def keep_pooled(
        self, trial_id: str, training: EvaluateConfig, repeat: int, network: PoolNetwork, seconds: float
    ) -> None:
        """The result of a trial that this attempt has taken, kept for other jobs as well."""
        ...

    def pool(self, training: EvaluateConfig) -> Pool | None:
        """All networks so trained; None if one is missing, or was damaged and is forgotten now."""
        ...

    def store_selection(self, method: str, indices_N: Tensor) -> str:
        """Store the images chosen by a method; returns their name."""
        ...

    def load_selection(self, name: str) -> Tensor | None:
        """Indices (N,), int64; None if they are damaged or gone."""
        ...

    def scratch(self) -> AbstractContextManager[Path]:
        """An empty folder, gone afterwards."""
        ...

    def publish(
        self,
        folder: Path,
        files: Sequence[WrittenArtifact],
        result: Mapping[str, Any],
        condensed: CondensedSet | None = None,
    ) -> None:
        """Store files and end the job well, in one update; with `condensed` they are those of a new condensed
        set. `result` becomes the job's."""
        ...

    def results(self, group: str) -> Sequence[Trial]:
        """The trials of a group that are done."""
        ...

    def speed(self) -> Mapping[str, float]:
        """FLOPs of an iteration of the job's dry run, and FLOPs per second in it; empty if it had none."""
        ...

    def phase_seconds(self) -> Mapping[str, float]:
        """Wall-clock seconds that workers spent in each phase, over all attempts, until now."""
        ...
