"""The accuracies of a job as a plot, a row an evaluation: geometry only, the templates make SVG of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from api.web.lines import LINES


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table of results, with the marks of its plot, in per cent of the scale's width."""

    evaluation: Any
    band: tuple[float, float] | None
    """Mean ± std: where it begins, and how wide it is."""
    mean: float
    ticks: list[float]


@dataclass(frozen=True, kw_only=True)
class Results:
    """The evaluations on one network. `low` and `high` are the accuracies at the ends of the scale."""

    network: str
    low: float
    high: float
    rows: list[Row]
    lines: dict[str, float]
    """Where the means of the baselines are, by method."""


def results(evaluations: Sequence[Any]) -> list[Results]:
    """By network, as the evaluations come; all on one scale, which ends at full twentieths."""
    if not evaluations:
        return []
    spread = [
        (one.mean - (one.std or 0), one.mean + (one.std or 0), min(one.accuracies), max(one.accuracies))
        for one in evaluations
    ]
    low = max(0.0, int(min(min(each) for each in spread) * 20 - 0.5) / 20)
    high = min(1.0, int(max(max(each) for each in spread) * 20 + 1.5) / 20)

    def at(accuracy: float) -> float:
        return round(100 * min(max((accuracy - low) / (high - low), 0.0), 1.0), 2)

    def row_of(one: Any) -> Row:
        start, stop = at(one.mean - (one.std or 0)), at(one.mean + (one.std or 0))
        band = None if one.std is None else (start, round(stop - start, 2))
        return Row(evaluation=one, band=band, mean=at(one.mean), ticks=[at(each) for each in one.accuracies])

    found = []
    for network in dict.fromkeys(one.network for one in evaluations):
        own = [one for one in evaluations if one.network == network]
        lines = {one.method: at(one.mean) for one in own if one.method in LINES}
        rows = [row_of(one) for one in own]
        found.append(Results(network=network, low=low, high=high, rows=rows, lines=lines))
    return found
