"""docs/results.md, from the records alone."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from bench.accuracy import published
from bench.accuracy.ledger import Record, text_of
from bench.accuracy.plan import METHODS
from bench.accuracy.tables import Machines, markdown_table, network_text, set_settings, training_text
from bench.accuracy.wording import INTRODUCTION, OF_DATASET, REMARKS, TITLES
from core.engine.config import CondenseConfig, EvaluateConfig, NetworkConfig
from core.engine.protocols import PROTOCOLS
from core.trials.spec import WHOLE_EPOCHS


def page(records: Sequence[Record]) -> str:
    """The whole page, of what was tested on test splits.

    Raises:
        ValueError: no network has been scored yet.
    """
    records = [record for record in records if not record["set"].get("validation")]
    scores = [record for record in records if record["kind"] == "score"]
    if not scores:
        raise ValueError("no network has been scored yet: there is nothing to report")
    made = {text_of(record["set"]): record for record in records if record["kind"] == "set"}
    machines = Machines()
    parts = [INTRODUCTION]
    for dataset in sorted({score["set"]["dataset"] for score in scores}):
        rows = _rows([score for score in scores if score["set"]["dataset"] == dataset], made)
        own = [row for row in rows if row.own_network]
        parts += [f"## {TITLES[dataset]}", OF_DATASET[dataset]]
        parts.append(_accuracy([row for row in own if row.final], machines))
        if cross := [row for row in rows if not row.own_network]:
            crossed = {text_of(row.about) for row in cross}
            both = [row for row in rows if text_of(row.about) in crossed]
            parts += ["### On other networks than the set was made with", _cross(both)]
        if any(not row.final for row in own):
            parts += ["### Accuracy against time", _against_time(own, machines)]
        if sets := [one for one in made.values() if one["set"]["dataset"] == dataset]:
            parts += ["### Making the sets", _making(sets, machines)]
    return "\n\n".join([*parts, "## Machines", machines.legend()]) + "\n"


def choices(records: Sequence[Record]) -> str:
    """A table of what was tested on parts of training splits, best first: for docs/recipes.md.

    Raises:
        ValueError: there is none.
    """
    found = [one for one in records if one["kind"] == "score" and one["set"].get("validation")]
    if not found:
        raise ValueError("nothing was measured with --validation")
    made = {text_of(record["set"]): record for record in records if record["kind"] == "set"}
    rows = sorted(_rows(found, made), key=lambda row: (row.ipc or 0, -row.mean))
    return markdown_table(
        ["IPC", "trained on", "accuracy, %", "n", "set", "training", "seconds", "of the pool"],
        [
            [
                str(row.ipc or "–"), row.method, row.accuracy, str(len(row.scores)),
                set_settings(row.about), row.trained, *_seconds(row.made),
            ]
            for row in rows
        ],
    ) + "\n"  # fmt: skip


class _Row:
    """A set, and all networks of one kind that were trained on it."""

    def __init__(self, scores: Sequence[Record], made: Record | None) -> None:
        self.scores = scores
        self.made = made
        self.about: dict[str, Any] = scores[0]["set"]
        self.training: dict[str, Any] = scores[0]["training"]
        self.method: str = self.about["method"]
        self.ipc: int | None = self.about["ipc"]
        self.condense: dict[str, Any] | None = self.about.get("condense")
        self.own_network = self.training["network"]["name"] == "convnet"
        self.final = self.condense is None or self.about["at"] == self.condense["iterations"]
        self.accuracies = [100 * score["accuracy"] for score in scores]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.accuracies)

    @property
    def accuracy(self) -> str:
        spread = f" ± {statistics.stdev(self.accuracies):.1f}" if len(self.accuracies) > 1 else ""
        return f"{self.mean:.1f}{spread}"

    @property
    def images(self) -> int:
        """That each network was trained on."""
        images: int = self.scores[0]["train_images"]
        return images

    @property
    def trained(self) -> str:
        """How."""
        steps = PROTOCOLS[self.training["protocol"]].steps_an_epoch(self.images) * self.training["epochs"]
        return f"{training_text(self.training)}, {steps:,} steps"

    @property
    def shortfalls(self) -> str:
        """Where the settings are below the paper's."""
        compared = []
        if self.condense is not None and self.method == published.METHOD_OF_PAPER:
            compared.append(("iterations", self.condense["iterations"], CondenseConfig.iterations))
            compared.append(("batch_real", self.condense["batch_real"], CondenseConfig.batch_real))
        if self.own_network:
            compared.append(("width", self.training["network"]["width"], NetworkConfig.width))
        # Of the whole set the paper states neither.
        if self.method != "whole" and self.training["protocol"] == "paper":
            compared.append(("epochs", self.training["epochs"], EvaluateConfig.epochs))
            compared.append(("networks", len(self.scores), published.NETWORKS))
        short = [f"{name} {ours:,} of {papers:,}" for name, ours, papers in compared if ours < papers]
        if self.method != "whole" and self.training["protocol"] != "paper":
            short.append(f"protocol {self.training['protocol']}, which is not the paper's")
        if self.method == "whole" and self.training["epochs"] < WHOLE_EPOCHS:
            trained = f"epochs {self.training['epochs']:,}, networks {len(self.scores):,}"
            short.append(f"undertrained, no upper bound: {trained}")
        return "; ".join(short) or "–"


def remarks(page: str) -> str:
    """What was written by hand at the end of an earlier page; empty if nothing was."""
    _, heading, text = page.partition(f"\n{REMARKS}\n")
    return heading + text


def _rows(scores: Iterable[Record], made: dict[str, Record]) -> list[_Row]:
    groups: dict[str, list[Record]] = {}
    for score in scores:
        groups.setdefault(text_of([score["set"], score["training"]]), []).append(score)
    rows = [_Row(group, made.get(text_of(group[0]["set"]))) for group in groups.values()]
    # The whole set, which has no ipc, last.
    return sorted(rows, key=lambda row: (row.ipc or 10**9, METHODS.index(row.method), row.about.get("at", 0)))


def _accuracy(rows: Iterable[_Row], machines: Machines) -> str:
    return markdown_table(
        [
            "IPC", "trained on", "images", "accuracy, %", "n", "paper, %", "set", "training", "machine",
            "short of paper",
        ],
        [
            [
                str(row.ipc or "–"), row.method, f"{row.images:,}", f"**{row.accuracy}**",
                str(len(row.scores)), _papers(row), set_settings(row.about), row.trained,
                machines.of(row.scores), row.shortfalls,
            ]
            for row in rows
        ],
    )  # fmt: skip


def _papers(row: _Row) -> str:
    dataset = row.about["dataset"]
    if row.condense is not None and row.method != published.METHOD_OF_PAPER:
        figure = published.ACCURACY.get((dataset, published.METHOD_OF_PAPER, row.ipc))
        return f"DM: {_figure(figure)}" if figure else "–"
    return _figure(published.ACCURACY.get((dataset, row.method, row.ipc)))


def _figure(figure: published.Figure | None) -> str:
    if figure is None:
        return "–"
    mean, std = figure
    return f"{mean:.1f}" + ("" if std is None else f" ± {std:.1f}")


def _cross(rows: Iterable[_Row]) -> str:
    def papers(row: _Row) -> str:
        key = (row.about["dataset"], row.method, row.ipc, row.training["network"]["name"])
        figure = published.CROSS_ARCHITECTURE.get(key)
        if figure is None and row.own_network:
            figure = published.ACCURACY.get((row.about["dataset"], row.method, row.ipc))
        return _figure(figure)

    return markdown_table(
        ["IPC", "trained on", "network", "accuracy, %", "n", "paper, %", "set", "training", "short of paper"],
        [
            [
                str(row.ipc), row.method, network_text(row.training["network"]), f"**{row.accuracy}**",
                str(len(row.scores)), papers(row), set_settings(row.about), row.trained, row.shortfalls,
            ]
            for row in rows
        ],
    )  # fmt: skip


def _against_time(rows: Iterable[_Row], machines: Machines) -> str:
    timed = [row for row in rows if row.condense is not None and row.made is not None]
    table = markdown_table(
        ["IPC", "method", "iterations", "seconds", "accuracy, %", "n", "set", "training", "machine"],
        [
            [
                str(row.ipc), row.method, f"{row.about['at']:,} of {row.condense['iterations']:,}",
                f"{row.made['seconds']:,.1f}", row.accuracy, str(len(row.scores)),
                set_settings(row.about), row.trained, machines.of([row.made]),
            ]
            for row in timed
            if row.condense is not None and row.made is not None
        ],
    )  # fmt: skip
    return "\n\n".join([
        "A run evaluated on its way: the set after so many iterations, and the seconds up to there. "
        "Where the learning rate falls at the end of a run (`lr_decay`), an earlier one has not had that.",
        table,
        *_catching_up(timed),
    ])  # fmt: skip


def _catching_up(rows: Sequence[_Row]) -> list[str]:
    """When `fast` first reaches the accuracy that `dm` ends with: same machine, same training."""
    sentences = []
    for end in (row for row in rows if row.method == "dm" and row.final):
        assert end.made is not None
        rivals: dict[str, list[_Row]] = {}
        for row in rows:
            assert row.made is not None
            same = (row.ipc, row.training, row.made["environment"]) == (
                end.ipc,
                end.training,
                end.made["environment"],
            )
            if row.method == "fast" and same:
                rivals.setdefault(text_of(row.condense), []).append(row)
        for evaluations in rivals.values():
            level = f"dm's accuracy at IPC {end.ipc} after {end.about['at']:,} iterations, {end.accuracy} %"
            reached = next((row for row in evaluations if row.mean >= end.mean), None)
            if reached is None or reached.made is None:
                sentences.append(f"`fast` ({set_settings(evaluations[0].about)}) did not reach {level}.")
                continue
            share = reached.made["seconds"] / end.made["seconds"]
            sentences.append(
                f"`fast` ({set_settings(reached.about)}) reached {level}, after {reached.about['at']:,} "
                f"iterations: {reached.made['seconds']:,.1f} s against {end.made['seconds']:,.1f} s, "
                f"{share:.1%} of our own loop's time for `dm`."
            )
    return sentences


def _making(sets: Iterable[Record], machines: Machines) -> str:
    def seconds_each(one: Record) -> str:
        return f"{one['seconds'] / one['set']['at']:.4g}" if "condense" in one["set"] else "–"

    ordered = sorted(
        sets,
        key=lambda one: (one["set"]["ipc"], METHODS.index(one["set"]["method"]), one["set"].get("at", 0)),
    )
    table = markdown_table(
        [
            "IPC", "set", "settings", "iterations done", "seconds", "of the pool", "seconds per iteration",
            "machine",
        ],
        [
            [
                str(one["set"]["ipc"]), one["set"]["method"], set_settings(one["set"]),
                f"{one['set']['at']:,}" if "at" in one["set"] else "–",
                *_seconds(one), seconds_each(one), machines.of([one]),
            ]
            for one in ordered
        ],
    )  # fmt: skip
    note = (
        "Wall time, warm-up and whatever else the machine was doing included. `herding` and `k-center` "
        "include the training of the network whose features they look at, which they share; the seconds of "
        "the pool, which all sets of a data set share, are not in the others."
    )
    return f"{table}\n\n{note}"


def _seconds(made: Record | None) -> tuple[str, str]:
    """Of making a set, and of training the pool that it was matched in."""
    if made is None:
        return "–", "–"
    pool = made.get("pool_seconds")
    return f"{made['seconds']:,.1f}", f"{pool:,.1f}" if pool else "–"
