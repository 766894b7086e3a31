"""A job that is followed: in a terminal by a bar, elsewhere, as in the log of a pipeline, by lines."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Semaphore
from typing import Any, cast

import pytest
from rich.live import Live

from condensery import Client, Dataset, Job
from condensery.cli import watch
from condensery.client.fields import Event
from core.db import models
from core.db.session import Database
from core.work.transitions import record
from tests.support.api import bring

EVALUATING = {"phase": "evaluate", "done": 60, "total": 100, "text": "whole, network 1 of 2"}


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
    happened: list[tuple[str, dict[str, Any]]] = [
        ("phase", {"phase": "condense"}),
        ("estimate", {"seconds": 120.0, "flops_per_iteration": 1, "seconds_per_iteration": 1}),
        ("progress", {"phase": "condense", "done": 7, "total": 100, "text": "iteration 7 of 50"}),
        ("accuracy", {"iteration": 25, "repeat": 0, "accuracy": 0.25}),
        ("phase", {"phase": "evaluate"}),
        ("progress", {**EVALUATING, "seconds_left": 240.0}),
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
                "condense iteration 7 of 50",
                "after iteration 25, network 1: 25.0%",
                "evaluate whole, network 1 of 2, 4 minutes left",
                "whole, network 1: 50.0%",
                "cancelling",
                "cancelled",
            )
        ),
    ]


@dataclass
class Told:
    """A job that has told these events, each drawn before the next; as a watcher sees it."""

    happened: list[tuple[str, dict[str, Any]]]
    drawn: Callable[[], None]
    id: str = "job_1"
    state: str = "running"
    ended: bool = False

    def events(self) -> Iterator[Event]:
        at = datetime.now(UTC)
        for seq, (kind, data) in enumerate(self.happened, 1):
            yield Event(raw={}, seq=seq, type=kind, created_at=at, data=data)
            self.drawn()

    def refresh(self) -> "Told":
        return self


def bars_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *happened: tuple[str, dict[str, Any]]
) -> str:
    """What a terminal of eighty columns shows, without colours."""
    for name, value in {"TTY_COMPATIBLE": "1", "COLUMNS": "80", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    drawings, draw = Semaphore(0), Live.refresh

    def noted(live: Live) -> None:
        draw(live)
        drawings.release()

    def drawn() -> None:
        while drawings.acquire(blocking=False):
            pass  # of a time before what has just happened
        # One may have begun before it; and steps are counted over some time only.
        assert all(drawings.acquire(timeout=60) for _ in range(4))

    monkeypatch.setattr(Live, "refresh", noted)
    watch.watch_job(cast(Job, Told([*happened], drawn)))
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)


def test_the_bar_is_of_the_whole_job_whatever_its_kind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dreaming = {"phase": "dream", "done": 7, "total": 100, "text": "sheep 7 of 50"}
    shown = bars_of(
        monkeypatch, capsys, ("progress", {**dreaming, "seconds_left": 754.2}),
        ("progress", {**EVALUATING, "seconds_left": 3723.4}),
    )  # fmt: skip
    assert re.search(r"dream .*sheep 7 of 50 0:00:\d\d 0:12:34", shown), shown
    assert re.search(r"evaluate .*whole, network 1 of 2 0:00:\d\d 1:02:03", shown), shown


def test_without_the_servers_time_left_it_is_estimated_from_the_steps_so_far(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = bars_of(
        monkeypatch, capsys, *(("progress", {**EVALUATING, "done": done}) for done in (60, 63, 66))
    )
    assert re.search(r"network 1 of 2 0:00:\d\d -:--:--", shown), shown
    assert re.search(r"network 1 of 2 0:00:\d\d \d:\d\d:\d\d", shown), shown
