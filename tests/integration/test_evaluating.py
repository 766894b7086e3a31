"""The phase `evaluate` in real processes: all baselines, a further network, killed in between."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from core.db.models import Artifact, Evaluation
from core.jobs.results import METHODS
from tests.support.leased import events_of, job_of
from tests.support.processes import runner_of, wait_for
from tests.support.workplace import Workplace, embedded_workplace

OWN, WIDER = "convnet-d2-w4-instance", "convnet-d2-w8-instance"
WANTED: dict[str, Any] = {
    "iterations": 2,
    "batch_real": 32,
    "evaluation": {
        "networks": 2,
        "epochs": 20,
        "whole_epochs": 2,
        "baselines": ["whole", "k-center", "herding", "random"],
        "cross_architecture": [{"width": 8}],
    },
}
SMALL_SETS = METHODS[:-1]
ORDER = [
    *[(method, network, repeat) for repeat in (0, 1) for network in (OWN, WIDER) for method in SMALL_SETS],
    *[("whole", OWN, repeat) for repeat in (0, 1)],
]


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    with embedded_workplace(tmp_path, monkeypatch) as made:
        yield made


def evaluated(place: Workplace, job_id: str) -> list[tuple[str, str, int]]:
    """What was trained, in the order in which it was."""
    events = [event.data for event in events_of(place.database, job_id) if event.type == "evaluated"]
    return [(data["method"], data["network"], data["repeat"]) for data in events]


def rows_of(place: Workplace, job_id: str) -> dict[tuple[str, str, int], Evaluation]:
    with place.database.reading() as session:
        rows = session.scalars(select(Evaluation).where(Evaluation.job_id == job_id))
        return {(row.method, row.network, row.repeat): row for row in rows}


def test_killed_in_between_it_goes_on_as_if_undisturbed(embedded: Workplace) -> None:
    dataset_id = embedded.new_dataset()
    undisturbed, job_id = (embedded.new_job(dataset_id, **WANTED) for _ in range(2))
    embedded.attempt(undisturbed)
    assert evaluated(embedded, undisturbed) == ORDER, "a comparison of everything comes before repeats"
    expected = rows_of(embedded, undisturbed)
    for (method, network, _), row in expected.items():
        assert row.train_images == (2 if method != "whole" else 34), method
        assert row.epochs == (20 if method != "whole" else 2)
        assert row.confusion is not None
        assert sum(map(sum, row.confusion)) == 6, "the test split"
        assert row.per_class == [counts[c] / sum(counts) for c, counts in enumerate(row.confusion)]
        assert network in (OWN, WIDER)

    def killed_after_three() -> None:
        wait_for(lambda: len(evaluated(embedded, job_id)) >= 3)
        pid = runner_of(job_id)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    embedded.attempt(job_id, meanwhile=killed_after_three)
    before = rows_of(embedded, job_id)
    assert 3 <= len(before) < len(ORDER)
    embedded.attempt(job_id)
    assert job_of(embedded.database, job_id).phase == "export"
    assert evaluated(embedded, job_id) == ORDER, "nothing is trained twice"
    after = rows_of(embedded, job_id)
    assert {key: row.id for key, row in after.items() if key in before} == {
        key: row.id for key, row in before.items()
    }
    assert {key: (row.accuracy, row.confusion) for key, row in after.items()} == {
        key: (row.accuracy, row.confusion) for key, row in expected.items()
    }

    embedded.attempt(job_id)
    job = job_of(embedded.database, job_id)
    assert job.state == "succeeded" and job.result is not None
    with embedded.database.reading() as session:
        manifest = session.scalars(select(Artifact).where(Artifact.format == "manifest")).one()
    described = json.loads(embedded.storage.path(manifest.blob_key).read_bytes())
    small = [{"name": "cat", "images": 17}, {"name": "dog", "images": 17}]
    assert described["condensation"] == {
        "micro_batch": None,
        "small_classes": {
            "batch_real": {"limit": 32, "count": 2, "first": small},
            "ipc": {"limit": 1, "count": 0, "first": []},
        },
    }
    assert {name: job.result[name] for name in described["condensation"]} == described["condensation"]
    card = described["evaluation"]
    assert [(one["network"], one["images"], one["n"]) for one in card["results"]] == [
        *((OWN, method, 2) for method in METHODS),
        *((WIDER, method, 2) for method in SMALL_SETS),
    ]
    assert f"herding and k-center chose images by the features of one {OWN}" in card["protocol"]
    assert not any("Evaluated on the network" in limit for limit in card["limits"])

    def mean(method: str) -> float:
        return sum(after[method, OWN, repeat].accuracy for repeat in (0, 1)) / 2

    assert job.result["hlr"] == pytest.approx(mean("whole") - mean("condensed")), "on its own network"
    assert job.result["ior"] == pytest.approx(mean("condensed") - mean("random"))
