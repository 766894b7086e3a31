"""A job that is followed: in a terminal by a bar, elsewhere, as in the log of a pipeline, by lines."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from condensery import Client, Dataset
from condensery.cli import watch
from condensery.client.fields import Event
from condensery.client.resources import Job
from core.db import models
from core.db.session import Database
from core.jobs.transitions import record
from tests.support.api import bring


def test_a_log_says_how_far_a_job_is(
    client: Client,
    dataset: Dataset,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(watch, "SECONDS_BETWEEN_LINES", 0)
    job = client.jobs.submit(dataset, ipc=1, iterations=50, recipe="fast")
    bring(database, job.id, "running")
    network = {"network": 1, "networks": 2, "epoch": 3, "epochs": 9}
    happened: list[tuple[str, dict[str, Any]]] = [
        ("phase", {"phase": "condense"}),
        ("estimate", {"seconds": 120.0, "flops_per_iteration": 1, "seconds_per_iteration": 1}),
        ("progress", {"phase": "condense", "iteration": 7, "iterations": 50, "loss": 1.23456}),
        ("progress", {"phase": "condense", "iteration": 25, "evaluating": network}),
        ("accuracy", {"iteration": 25, "repeat": 0, "accuracy": 0.25}),
        ("progress", {"phase": "evaluate", "method": "whole", **network}),
        ("progress", {"phase": "evaluate", "method": "whole", **network, "seconds_left": 240.0}),
        ("evaluated", {"method": "whole", "network": "convnet", "repeat": 0, "accuracy": 0.5}),
    ]
    with database.writing() as session:
        for kind, data in happened:
            assert record(session, models.Job, job.id, kind, data)
    bring(database, job.id, "cancelling", "cancelled")
    watch.watch_job(job)
    printed, told = capsys.readouterr()
    assert printed == ""
    assert told.splitlines() == [
        f"{job.id}: queued",
        *(
            f"  {line}"
            for line in (
                "running",
                "condensing takes about 2 minutes, and is evaluated then",
                "condensing 7/50, loss 1.235",
                "evaluating iteration 25, network 1/2 epoch 3/9",
                "after iteration 25, network 1: 25.0%",
                "evaluating whole, network 1/2 epoch 3/9",
                "evaluating whole, network 1/2 epoch 3/9, 4 minutes left",
                "whole, network 1: 50.0%",
                "cancelling",
                "cancelled",
            )
        ),
    ]


@dataclass
class Told:
    """A job that has told these events, each a while before the next; as a watcher sees it."""

    happened: list[tuple[str, dict[str, Any]]]
    id: str = "job_1"
    state: str = "running"
    ended: bool = False

    def events(self) -> Iterator[Event]:
        at = datetime.now(UTC)
        for seq, (kind, data) in enumerate(self.happened, 1):
            yield Event(raw={}, seq=seq, type=kind, created_at=at, data=data)
            time.sleep(0.4)  # the bar is drawn ten times a second

    def refresh(self) -> "Told":
        return self


def bars_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *happened: tuple[str, dict[str, Any]]
) -> str:
    """What a terminal of eighty columns shows, without colours."""
    for name, value in {"TTY_COMPATIBLE": "1", "COLUMNS": "80", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    watch.watch_job(cast(Job, Told([*happened])))
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)


NETWORK = {"network": 1, "networks": 2, "epoch": 3, "epochs": 300}


def test_the_bar_says_what_time_is_left_of_the_whole_phase(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    condensing = {"phase": "condense", "iteration": 7, "iterations": 50, "loss": 1.23456}
    evaluating = {"phase": "evaluate", "method": "condensed", **NETWORK}
    shown = bars_of(
        monkeypatch, capsys, ("progress", {**condensing, "seconds_left": 754.2}),
        ("progress", {**evaluating, "seconds_left": 3723.4}),
        ("progress", {**condensing, "evaluating": NETWORK, "seconds_left": 61.0}),
    )  # fmt: skip
    assert re.search(r"condensing .*7/50, loss 1.235 0:00:0\d 0:12:34", shown), shown
    assert re.search(r"evaluating condensed, network 1/2 .*epoch 3/300 0:00:0\d 1:02:03", shown), shown
    assert re.search(r"evaluating iteration 7, network 1/2 .*epoch 3/300 0:00:0\d 0:01:01", shown), shown


def test_a_server_that_does_not_say_what_is_left_is_judged_by_its_pace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluating = {"phase": "evaluate", "method": "condensed", **NETWORK}
    shown = bars_of(
        monkeypatch, capsys, *(("progress", {**evaluating, "epoch": epoch}) for epoch in (3, 6, 9))
    )
    assert re.search(r"epoch 3/300 0:00:0\d -:--:--", shown), shown
    assert re.search(r"epoch 9/300 0:00:0\d 0:00:\d\d", shown), shown
