"""`python -m bench.workers`: twenty networks evaluated by one worker, and by two that share the trials.

Both workers are on this machine and have one core each, and so one thread: the second one adds a core and
nothing else. Only the time of the phase counts: from the claim of the job to its export, once both have
loaded what they need. What two processes gain that do nothing but train (bench/train_once.py) is measured
beside it: more than that no sharing can give.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from bench.machine import machine
from bench.page import write_section
from condensery import Client
from examples.digits import write_zip
from tests.support.service import DELIVERED, Service, finish, upload_dataset
from worker.runner_environment import RUNNER_ENVIRONMENT

PAIRS = 3
GOAL = 1.8
NETWORKS, EPOCHS = 10, 100
#: The condensed images themselves, and as PNG has them.
TRIALS = 2 * NETWORKS
PIXELS = 32
_CONDENSE = {
    "recipe": "fast", "ipc": 1, "iterations": 1, "evaluation": {"networks": 1, "epochs": 1, "baselines": []},
}  # fmt: skip
#: A job computes with as many threads as its worker has cores.
_CORES = (0, 1)


def main() -> None:
    """Measure, print and write the section."""
    arguments = argparse.ArgumentParser(prog="python -m bench.workers", description=__doc__)
    arguments.add_argument("--pairs", type=int, default=PAIRS, help="of measurements")
    arguments.add_argument("--epochs", type=int, default=EPOCHS, help="of each network")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name, _service(Path(name) / "data") as service:
        write_zip(Path(name) / "digits.zip")
        with service.client() as client:
            dataset_id = upload_dataset(client, Path(name) / "digits.zip", image_size=PIXELS)["id"]
            made = finish(client, client.post("/v1/jobs", {"dataset_id": dataset_id, **_CONDENSE})["id"])
            body = {
                "kind": "evaluate", "dataset_id": dataset_id, "condensed_set_id": made["made_set_id"],
                "networks": NETWORKS, "epochs": given.epochs, "baselines": [],
            }  # fmt: skip
            little = body | {"epochs": 1}
            _seconds(client, little)
            turns = []
            for _ in range(given.pairs):
                alone = _seconds(client, body)
                with _another_worker(service, client):
                    _seconds(client, little)
                    turns.append((alone, _seconds(client, body)))
            bare = _bare(given.epochs)
    text = section(turns, bare, given.epochs)
    print(text)  # noqa: T201
    write_section("workers", text)


@contextmanager
def _service(data_dir: Path) -> Iterator[Service]:
    service = Service(data_dir, CONDENSERY_DEVICE="cpu", **DELIVERED)
    try:
        service.start()
        os.sched_setaffinity(service.worker_pid, {_CORES[0]})  # it is still loading, and has no children
        yield service
    finally:
        service.stop()


@contextmanager
def _another_worker(service: Service, client: Client) -> Iterator[None]:
    process = service.spawn("worker")
    os.sched_setaffinity(process.pid, {_CORES[1]})
    try:
        service.wait_until(lambda: len(client.get("/v1/workers")["data"]) == 2)
        yield
    finally:
        process.terminate()
        process.wait(120)
        service.wait_until(lambda: len(client.get("/v1/workers")["data"]) == 1)


def _seconds(client: Client, body: dict[str, Any]) -> float:
    job = finish(client, client.post("/v1/jobs", body)["id"])
    assert job["state"] == "succeeded", job["problem"]
    assert job["evaluations"][0]["n"] == NETWORKS
    events = list(client.jobs.get(job["id"]).events())
    begin = next(one for one in events if one.type == "running")
    end = next(one for one in events if one.data.get("phase") == "export")
    return (end.created_at - begin.created_at).total_seconds()


def _bare(epochs: int) -> float:
    """How much faster two processes train as many networks than one does, with nothing beside them."""
    (alone,) = _trained(epochs, TRIALS)
    return alone / max(_trained(epochs, TRIALS // 2, TRIALS - TRIALS // 2))


def _trained(epochs: int, *counts: int) -> list[float]:
    """The seconds of each of some processes that run at once."""
    running = [
        subprocess.Popen(  # noqa: S603 (our own module)
            [sys.executable, "-m", "bench.train_once", str(epochs), str(count), str(core)],
            stdout=subprocess.PIPE, env=os.environ | RUNNER_ENVIRONMENT,
        )
        for core, count in zip(_CORES, counts, strict=False)
    ]  # fmt: skip
    return [float(one.communicate()[0]) for one in running]


def section(pairs: list[tuple[float, float]], bare: float, epochs: int) -> str:
    """Markdown, of (one worker, two workers) seconds and of what training alone gains."""
    one, two = (sorted(column) for column in zip(*pairs, strict=True))
    ratios = sorted(alone / both for alone, both in pairs)
    return f"""## Trials on one and on two workers

| | median | range |
|---|---|---|
| one worker | {median(one):.1f} s | {one[0]:.1f} – {one[-1]:.1f} s |
| two workers | {median(two):.1f} s | {two[0]:.1f} – {two[-1]:.1f} s |

One ÷ two: median {median(ratios):.2f}, from {ratios[0]:.2f} to {ratios[-1]:.2f} (goal: at least {GOAL:g}).
Two processes that train as many networks and do nothing else: {bare:.2f}.
`python -m bench.workers`: an `evaluate` job of {TRIALS} trials, {epochs} epochs each, on 10 images of
digits at {PIXELS} px; {len(pairs)} pairs in turns; from the claim of the job to its export. Both workers are
on this machine, each on a core of its own.

**Machine.** {machine()}."""


if __name__ == "__main__":
    main()
