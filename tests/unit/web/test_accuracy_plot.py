"""The accuracy curve as it is drawn: where everything is, in per cent of the plot."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.schemas.jobs import AccuracyOut, EvaluationOut, JobOut
from api.web.accuracy_plot import Plot, accuracy_plot
from core.kinds.evaluate.spec import EvaluateSpec
from tests.unit.web.jobs import SPEC, job_out

Found = tuple[float, float | None]


def job(points: dict[int, Found], evaluated: dict[str, Found], *, iterations: int = 100) -> JobOut:
    def evaluation(method: str, found: Found, network: str) -> EvaluationOut:
        return EvaluationOut.model_validate({
            "method": method, "network": network, "n": 2, "mean": found[0], "std": found[1],
            "accuracies": [], "per_class": [], "confusion": None, "train_images": 1, "epochs": 1,
            "protocol": "paper", "steps": 1, "seconds": 1,
        })  # fmt: skip

    values: dict[str, Any] = {
        "phase": "evaluate", "iteration": iterations,
        "spec": SPEC.model_copy(update={"iterations": iterations}),
        "accuracies": [
            AccuracyOut(iteration=at, mean=mean, std=std, n=2) for at, (mean, std) in points.items()
        ],
        "evaluations": [
            *(evaluation(method, found, "alexnet-instance") for method, found in evaluated.items()),
            *(evaluation(method, found, SPEC.network.label()) for method, found in evaluated.items()),
        ],
    }  # fmt: skip
    # What another network found is no part of this curve.
    for one in values["evaluations"][: len(evaluated)]:
        one.mean = 0.01
    return job_out(**values)


def plotted(*given: Any, **named: Any) -> Plot:
    found = accuracy_plot([job(*given, **named)])
    assert found is not None
    return found


def test_who_did_not_ask_has_no_curve() -> None:
    assert accuracy_plot([job({}, {"condensed": (0.5, 0.1)})]) is None


def test_a_job_without_iterations_has_no_place_beside_a_curve() -> None:
    condensation = job({50: (0.3, 0.05)}, {"condensed": (0.5, 0.1)})
    spec = EvaluateSpec().resolved(image_size=32, train_images=50_000, classes=10, stored=1, decoded=1)
    found = [one for one in condensation.evaluations if one.mean == 0.5]
    plot = accuracy_plot([condensation, job_out(kind="evaluate", spec=spec, evaluations=found)])
    assert plot is not None
    assert [curve.job for curve in plot.curves] == [condensation]


def test_points_band_and_lines_are_where_they_belong() -> None:
    plot = plotted(
        {25: (0.3, 0.05), 50: (0.4, None)},
        {"condensed": (0.5, 0.1), "png": (0.5, 0.1), "random": (0.2, 0.0), "whole": (0.99, 0.01)},
    )
    # From 20 to 100 per cent, by steps of 20.
    assert [tick.value for tick in plot.y_ticks] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1])
    assert [tick.at for tick in plot.y_ticks] == [100, 75, 50, 25, 0]
    assert [(tick.value, tick.at) for tick in plot.x_ticks] == [(0, 0), (50, 50), (100, 100)]
    (curve,) = plot.curves
    assert [(one.x, one.y, one.finished) for one in curve.points] == [
        (25, 87.5, False),
        (50, 75, False),
        (100, 62.5, True),
    ]
    assert curve.means == "25,87.5 50,75 100,62.5"
    assert curve.band == "25,81.25 50,75 100,50 100,75 50,75 25,93.75"
    assert [(line.method, line.y, line.label) for line in plot.lines] == [
        ("whole", 1.25, 1.25),
        ("random", 100, 100),
    ]


def test_labels_of_lines_that_are_close_go_apart_and_stay_inside() -> None:
    plot = plotted({50: (0.5, 0.1)}, {"random": (0.401, 0), "herding": (0.4, 0), "whole": (0.402, 0)})
    assert [line.method for line in plot.lines] == ["whole", "random", "herding"]
    labels = [line.label for line in plot.lines]
    assert all(below - above >= 8 for above, below in pairwise(labels))
    assert labels[-1] <= 100


def test_curves_of_several_jobs_share_their_axes() -> None:
    short = job({25: (0.3, 0.05)}, {"condensed": (0.5, 0.1), "random": (0.1, 0.0)}, iterations=50)
    long = job({50: (0.4, None)}, {"condensed": (0.5, 0.1)})
    unasked = job({}, {"condensed": (0.5, 0.1)})
    waiting = job({}, {})
    plot = accuracy_plot([short, long, unasked, waiting])
    assert plot is not None
    assert [[(one.x, one.y) for one in curve.points] for curve in plot.curves] == [
        [(25, 75), (50, 25)],
        [(50, 50), (100, 25)],
        [(100, 25)],
    ]
    assert [curve.job for curve in plot.curves] == [short, long, unasked], "none that has nothing to show"
    assert plot.lines == [], "whose baselines they would be, nobody could tell"
    assert [curve.label for curve in plot.curves] == [25, 33, 41], "labels do not touch"
    assert plot.x_ticks[-1].value == 100


@pytest.mark.parametrize(
    ("iterations", "ticks"),
    [
        (1, [0, 1]),
        (4, [0, 1, 2, 3, 4]),
        (60, [0, 20, 40, 60]),
        (1000, [0, 500, 1000]),
        (20_000, [0, 5_000, 10_000, 15_000, 20_000]),
        (1_000_000, [0, 500_000, 1_000_000]),
    ],
)
def test_iterations_are_labelled_by_round_numbers(iterations: int, ticks: list[int]) -> None:
    plot = plotted({1: (0.5, None)}, {}, iterations=iterations)
    assert [tick.value for tick in plot.x_ticks] == ticks


accuracies = st.tuples(st.floats(0, 1), st.none() | st.floats(0, 0.7))


@given(
    points=st.dictionaries(st.integers(1, 99), accuracies, min_size=1, max_size=20),
    evaluated=st.dictionaries(st.sampled_from(["condensed", "random", "herding", "whole"]), accuracies),
)
def test_everything_is_inside(points: dict[int, Found], evaluated: dict[str, Found]) -> None:
    plot = plotted(dict(sorted(points.items())), evaluated)
    (curve,) = plot.curves
    numbers = [
        float(n) for text in (curve.band, curve.means) for pair in text.split() for n in pair.split(",")
    ]
    numbers += [n for line in plot.lines for n in (line.y, line.label)]
    numbers += [tick.at for tick in (*plot.x_ticks, *plot.y_ticks)]
    assert all(0 <= number <= 100 for number in numbers)
    assert 5 <= len(plot.y_ticks) <= 7
    assert {0.0, 100.0} <= {tick.at for tick in plot.y_ticks}, "from end to end"
    assert [one.y for one in curve.points] == [float(pair.split(",")[1]) for pair in curve.means.split()]
