"""The accuracy while the images form, as a plot: geometry only, the templates make SVG of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor

from api.schemas.jobs import AccuracyOut, EvaluationOut, JobOut
from api.web.lines import LINES

Found = AccuracyOut | EvaluationOut

#: Between the labels of two lines, in per cent of the plot's height: less, and they would touch.
_APART = 8.0
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
    found: Found
    finished: bool


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A job's points, from the left. `means` is the curve, and `band` that of mean ± std, as SVG writes
    points; `label` is how far down its name stands."""

    job: JobOut
    points: list[Point]
    means: str
    band: str
    label: float


@dataclass(frozen=True, kw_only=True)
class Line:
    """A baseline's mean. `label` is how far down its name stands: beside the line, or as near as others let
    it."""

    method: str
    y: float
    label: float
    mean: float


@dataclass(frozen=True, kw_only=True)
class Plot:
    """In per cent of the width, from the left, and of the height, from above."""

    curves: list[Curve]
    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]


def accuracy_plot(jobs: Sequence[JobOut]) -> Plot | None:
    """Of jobs that evaluate their images on the way, once a network of one of them was tested; else None.

    The last point of a curve is the finished set's, on the job's own network. Of a single job, the baselines
    on that network are lines.
    """
    if not any(job.accuracies for job in jobs):
        return None
    found = [(job, points) for job in jobs if (points := _points(job))]
    own = _own(jobs[0])
    baselines = {method: own[method].mean for method in LINES if method in own and len(jobs) == 1}
    most = max(_iterations(job) for job, _ in found)
    step, low, high = _scale([one for _, points in found for _, one, _ in points], list(baselines.values()))

    def down(accuracy: float) -> float:
        return round(100 * (high - min(max(accuracy, low), high)) / (high - low), 2)

    def across(iteration: int) -> float:
        return round(100 * iteration / most, 2)

    labels = _apart([down(points[-1][1].mean) for _, points in found])
    every = _whole_step(most)
    return Plot(
        curves=[
            _curve(job, points, label, across, down)
            for (job, points), label in zip(found, labels, strict=True)
        ],
        lines=_lines({method: (down(mean), mean) for method, mean in baselines.items()}),
        x_ticks=[Tick(at=across(value), value=value) for value in range(0, most + 1, every)],
        y_ticks=[
            Tick(at=down(n * step), value=n * step) for n in range(round(low / step), round(high / step) + 1)
        ],
    )


def _iterations(job: JobOut) -> int:
    """All of the job's; 0 if its kind has none, and so no place on the axis."""
    return getattr(job.spec, "iterations", None) or 0


def _own(job: JobOut) -> dict[str, EvaluationOut]:
    """What was found on the network that the job condensed with, by method."""
    return {one.method: one for one in job.evaluations if one.network == job.plan.networks[0].label()}


def _points(job: JobOut) -> list[tuple[int, Found, bool]]:
    """Iteration, what was found, and whether that is the finished set's."""
    found: list[tuple[int, Found, bool]] = [(one.iteration, one, False) for one in job.accuracies]
    condensed = _own(job).get("condensed")
    if condensed and (end := _iterations(job)):
        found.append((end, condensed, True))
    return found


def _curve(
    job: JobOut,
    found: Sequence[tuple[int, Found, bool]],
    label: float,
    across: Callable[[int], float],
    down: Callable[[float], float],
) -> Curve:
    points = [
        Point(x=across(iteration), y=down(one.mean), iteration=iteration, found=one, finished=finished)
        for iteration, one, finished in found
    ]
    upper = [(one.x, down(one.found.mean + (one.found.std or 0))) for one in points]
    lower = [(one.x, down(one.found.mean - (one.found.std or 0))) for one in points]
    return Curve(
        job=job,
        points=points,
        means=_as_svg([(one.x, one.y) for one in points]),
        band=_as_svg([*upper, *reversed(lower)]),
        label=label,
    )


def _scale(found: Sequence[Found], lines: Sequence[float]) -> tuple[float, float, float]:
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
    """From the top down."""
    labels = _apart([y for y, _ in at.values()])
    lines = [
        Line(method=method, y=y, label=label, mean=mean)
        for (method, (y, mean)), label in zip(at.items(), labels, strict=True)
    ]
    return sorted(lines, key=lambda line: line.label)


def _apart(at: Sequence[float]) -> list[float]:
    """Labels that would touch go apart, downwards, and those at the bottom upwards again."""
    labels = list(at)
    order = sorted(range(len(at)), key=lambda n: at[n])
    for above, below in pairwise(order):
        labels[below] = max(labels[below], labels[above] + _APART)
    lowest = 100.0
    for n in reversed(order):
        labels[n] = min(labels[n], lowest)
        lowest = labels[n] - _APART
    return labels


def _as_svg(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)
