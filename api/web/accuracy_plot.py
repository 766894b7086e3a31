"""The accuracy while the images form, as a plot: geometry only, the templates make SVG of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Any

from api.schemas.jobs import JobOut

#: Between the labels of two lines, in per cent of the plot's height: less, and they would touch.
_APART = 8.0
_BASELINES = ("random", "herding", "whole")
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2)
#: Or the first network's accuracy would fill the whole plot.
_LEAST_STEPS = 4


@dataclass(frozen=True, kw_only=True)
class Tick:
    at: float
    value: float


@dataclass(frozen=True, kw_only=True)
class Point:
    """`finished`: of the finished set, not of the images on the way."""

    x: float
    y: float
    iteration: int
    found: Any
    finished: bool


@dataclass(frozen=True, kw_only=True)
class Line:
    """A baseline's mean. `label` is where its name stands: beside the line, or as near as others let it."""

    method: str
    y: float
    label: float
    mean: float


@dataclass(frozen=True, kw_only=True)
class Plot:
    """In per cent of the width, from the left, and of the height, from above."""

    points: list[Point]
    lines: list[Line]
    curve: str
    """Of the means, and `band` of mean ± std, as SVG writes points."""
    band: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]


def accuracy_plot(job: JobOut) -> Plot | None:
    """Of a job that evaluates its images on the way, once a network of them was tested; else None.

    The last point is the finished set's, on the job's own network, as the lines are.
    """
    if not job.accuracies:
        return None
    most = job.spec.iterations or 1
    own = {one.method: one for one in job.evaluations if one.network == job.spec.network_name()}
    found: list[tuple[int, Any, bool]] = [(one.iteration, one, False) for one in job.accuracies]
    if "condensed" in own:
        found.append((most, own["condensed"], True))
    baselines = {method: own[method].mean for method in _BASELINES if method in own}
    step, low, high = _scale([one for _, one, _ in found], list(baselines.values()))

    def down(accuracy: float) -> float:
        return round(100 * (high - min(max(accuracy, low), high)) / (high - low), 2)

    def across(iteration: int) -> float:
        return round(100 * iteration / most, 2)

    points = [
        Point(x=across(iteration), y=down(one.mean), iteration=iteration, found=one, finished=finished)
        for iteration, one, finished in found
    ]
    upper = [(one.x, down(one.found.mean + (one.found.std or 0))) for one in points]
    lower = [(one.x, down(one.found.mean - (one.found.std or 0))) for one in points]
    every = _whole_step(most)
    return Plot(
        points=points,
        lines=_lines({method: (down(mean), mean) for method, mean in baselines.items()}),
        curve=_as_svg([(one.x, one.y) for one in points]),
        band=_as_svg([*upper, *reversed(lower)]),
        x_ticks=[Tick(at=across(value), value=value) for value in range(0, most + 1, every)],
        y_ticks=[
            Tick(at=down(n * step), value=n * step) for n in range(round(low / step), round(high / step) + 1)
        ],
    )


def _scale(found: Sequence[Any], lines: Sequence[float]) -> tuple[float, float, float]:
    """The step of the accuracies' axis, and both its ends, full steps between 0 and 1."""
    spread = [(one.mean - (one.std or 0), one.mean + (one.std or 0)) for one in found]
    least = max(min([*(low for low, _ in spread), *lines]), 0.0)
    most = min(max([*(high for _, high in spread), *lines]), 1.0)
    step = next((step for step in _STEPS if most - least <= 5 * step), _STEPS[-1])
    low, high = floor(round(least / step, 6)), ceil(round(most / step, 6))
    while high - low < _LEAST_STEPS:
        low, high = max(low - 1, 0), min(high + 1, round(1 / step))
    return step, low * step, high * step


def _whole_step(most: int) -> int:
    """1, 2 or 5 times a power of ten, at most four of which fit: as many labels as a phone has room for."""
    step, size = 1, 1
    while most > 4 * step:
        step = next((n * size for n in (1, 2, 5) if most <= 4 * n * size), 10 * size)
        size *= 10
    return step


def _lines(at: dict[str, tuple[float, float]]) -> list[Line]:
    """From the top down. Labels that would touch go apart, those at the bottom upwards again."""
    inorder = sorted(at.items(), key=lambda item: item[1][0])
    labels: list[float] = []
    for _, (y, _) in inorder:
        labels.append(max(y, labels[-1] + _APART) if labels else y)
    floor_ = 100.0
    for n in reversed(range(len(labels))):
        labels[n] = min(labels[n], floor_)
        floor_ = labels[n] - _APART
    return [
        Line(method=method, y=y, label=label, mean=mean)
        for (method, (y, mean)), label in zip(inorder, labels, strict=True)
    ]


def _as_svg(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)
