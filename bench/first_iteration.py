"""`python -m bench.first_iteration`: from a job's claim to its first iteration, by the database's clock.

Two ways take turns: a process that loads everything itself, as every attempt's did once and as it still does
where a process cannot be forked, and one that is forked from a process that has (worker/forkserver.py).
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

from bench.machine import machine
from bench.page import write_section
from core.work.leases import Lease
from tests.support.leased import events_of, take
from tests.support.workplace import ROOT, Workplace, embedded_workplace
from worker.runner_environment import RUNNER_ENVIRONMENT
from worker.runner_process import RunnerProcess, preload

PAIRS = 7
GOAL_SECONDS = 1.0
SPEC = {"iterations": 3, "evaluation": {"networks": 1, "epochs": 1, "baselines": []}}


def main() -> None:
    """Measure, print and write the section."""
    arguments = argparse.ArgumentParser(prog="python -m bench.first_iteration", description=__doc__)
    arguments.add_argument("--pairs", type=int, default=PAIRS, help="after one that does not count")
    pairs = arguments.parse_args().pairs
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        embedded_workplace(Path(folder), patch) as place,
    ):
        preload("tensors")
        dataset_id = place.new_dataset()
        turns = [
            (_seconds(place, dataset_id, _anew), _seconds(place, dataset_id, _forked))
            for _ in range(pairs + 1)
        ]
    text = section(turns[1:])
    print(text)  # noqa: T201
    write_section("first_iteration", text)


def _seconds(place: Workplace, dataset_id: str, work: Callable[[Lease], None]) -> float:
    job_id = place.new_job(dataset_id, **SPEC)
    work(take(place.database, job_id, seconds=600))
    events = events_of(place.database, job_id)
    claimed = next(event for event in events if event.type == "running")
    first = next(event for event in events if event.data.get("iteration", 0) >= 1)
    return (first.created_at - claimed.created_at).total_seconds()


def _anew(lease: Lease) -> None:
    command = [sys.executable, "-m", "worker.runner", "job", lease.row_id, str(lease.fence), str(os.getpid())]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **RUNNER_ENVIRONMENT}, check=True)  # noqa: S603


def _forked(lease: Lease) -> None:
    process = RunnerProcess("job", lease.row_id, lease.fence)
    while process.wait(60) is None:
        pass


def section(pairs: list[tuple[float, float]]) -> str:
    """Markdown, of (anew, forked) seconds."""
    columns = [sorted(column) for column in zip(*pairs, strict=True)]
    rows = "\n".join(
        f"| {name} | {median(seconds):.2f} s | {seconds[0]:.2f} – {seconds[-1]:.2f} s |"
        for name, seconds in zip(
            ("a process that loads everything itself (before)", "one forked from a process that has (now)"),
            columns,
            strict=True,
        )
    )
    return f"""## From a claim to the first iteration

| the attempt's process | median | range |
|---|---|---|
{rows}

`python -m bench.first_iteration`: {len(pairs)} pairs in turns, after one that does not count; from a job's
event `running`, its claim, to the event of its first iteration, dry run included (goal: at most
{GOAL_SECONDS:g} s). 40 images of 16 px, a ConvNet of width 4, SQLite: the job itself takes next to nothing.

**Machine.** {machine()}."""


if __name__ == "__main__":
    main()
