"""What a kind of work is: a spec, its phases, and what may be asked of both without doing any work.

Nothing here, and in no kind's `__init__`, spec or cost, imports torch: API and Celery know kinds, too. What a
phase runs is a dotted path, imported by the process that runs it.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

from pydantic import BaseModel

from core.strict import Strict
from core.trials.spec import TrialPlan


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """Of a ready data set: images of both splits, classes, side in pixels, channels.

    lost: share of what its images show that collages lose; None of a data set that is older than the measure.
    """

    train_images: int
    test_images: int
    classes: int
    image_size: int
    channels: int
    lost: float | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """All but what its images show."""
        return {name: value for name, value in asdict(self).items() if name != "lost"}

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> "DataFacts":
        splits = manifest["splits"]
        return cls(
            train_images=splits["train"]["count"],
            test_images=splits["test"]["count"],
            classes=len(splits["train"]["per_class"]),
            image_size=manifest["image_size"],
            channels=manifest["channels"],
            lost=manifest.get("report", {}).get("suggestions", {}).get("form", {}).get("lost_by_collages"),
        )


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a job is to work on, as far as its spec has to fit it.

    class_names: of the data set, in their order. condensed: the row of a ready condensed set, as facts: `id`,
    `classes` (names), `channels`, `image_size`, `stored` and `decoded` images per class, `data_hash`; None if
    the kind takes none.
    """

    data: DataFacts
    class_names: tuple[str, ...]
    max_ipc: int
    condensed: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A multiplication and an addition count as two FLOPs.

    flops: of each phase that computes, by name. flops_per_iteration: of the condensation; 0 if there is none.
    memory_bytes: float32 tensors that are held at least; the libraries come on top.
    """

    flops_by_phase: Mapping[str, int]
    flops_per_iteration: int
    memory_bytes: int

    @property
    def flops(self) -> int:
        """Of the whole job."""
        return sum(self.flops_by_phase.values())


@dataclass(frozen=True, kw_only=True)
class Phase:
    """run: dotted path of a function that takes the Work (core/kinds/work.py) and does all of the phase.

    needed: whether a job of this resolved spec has it.
    """

    name: str
    queue: str
    run: str
    needed: Callable[[Any], bool] = lambda spec: True


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of work; all of it is one folder.

    title: what people call doing it. takes_condensed_set: whether a job names one to work on.
    result: what `jobs.result` holds. fit: the spec with everything filled in, or InvalidRequest.
    examples: of a spec. as_before: an unresolved spec as JSON, as it was before its newest fields; None if it
    could not be asked for then. plan: the trials of a resolved spec. images: dotted path of a function that
    takes the Given (core/kinds/work.py) and gives what the trials are of: synthetic images and their labels.
    """

    name: str
    title: str
    spec: type[Strict]
    result: type[BaseModel]
    phases: tuple[Phase, ...]
    takes_condensed_set: bool
    fit: Callable[[Any, Inputs], Any]
    cost: Callable[[Any, DataFacts], Cost]
    label: Callable[[Any], str]
    plan: Callable[[Any], TrialPlan]
    images: str
    examples: tuple[Mapping[str, Any], ...] = ()
    as_before: Callable[[Any], dict[str, Any] | None] = lambda spec: None

    def phase(self, name: str) -> Phase:
        return next(one for one in self.phases if one.name == name)

    def phases_of(self, spec: Any) -> tuple[Phase, ...]:
        """Those that a job of this resolved spec has, in their order."""
        return tuple(one for one in self.phases if one.needed(spec))

    def after(self, name: str, spec: Any) -> Phase | None:
        """The phase that follows in a job of this spec; None after the last."""
        phases = self.phases_of(spec)
        names = [one.name for one in phases]
        return phases[names.index(name) + 1] if name != names[-1] else None


def resolve(dotted: str) -> Callable[..., Any]:
    """The function at `package.module:name`."""
    module, _, name = dotted.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found
