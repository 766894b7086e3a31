"""A job that is followed where nobody sees a bar, as in the log of a pipeline."""

from typing import Any

import pytest

from condensery import Client, Dataset
from condensery.cli import watch
from core.db.models import Job
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
        ("evaluated", {"method": "whole", "network": "convnet", "repeat": 0, "accuracy": 0.5}),
    ]
    with database.writing() as session:
        for kind, data in happened:
            assert record(session, Job, job.id, kind, data)
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
                "whole, network 1: 50.0%",
                "cancelling",
                "cancelled",
            )
        ),
    ]
