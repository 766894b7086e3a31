"""The phase `evaluate` in real processes: all baselines, a further network, killed in between."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from sqlalchemy import select
from torchvision.datasets import ImageFolder  # type: ignore[import-untyped, unused-ignore]

from core.data.canonical.canonical_set import CanonicalSet
from core.db.models import Artifact, Checkpoint, Dataset, Job, Trial
from core.engine.evaluate import train_and_score
from core.engine.images import LabelledImages
from core.kinds.condense.spec import CondenseSpec
from core.trials.methods import METHODS
from core.trials.results import FINAL, done_trials
from core.work.files import checkpoints_of
from tests.support.leased import events_of, job_of
from tests.support.processes import runner_of, wait_for
from tests.support.workplace import Workplace, embedded_workplace

pytestmark = pytest.mark.one_database

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
SMALL_SETS = [name for name, one in METHODS.items() if one.of in ("set", "selection")]
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


def rows_of(place: Workplace, job_id: str) -> dict[tuple[str, str, int], Trial]:
    with place.database.reading() as session:
        rows = done_trials(session, session.get_one(Job, job_id), FINAL)
        return {(row.method, row.network, row.repeat): row for row in rows}


def checkpoints_of_job(place: Workplace, job_id: str) -> list[Checkpoint]:
    with place.database.reading() as session:
        return checkpoints_of(session, session.get_one(Job, job_id))


def test_killed_in_between_it_goes_on_as_if_undisturbed(embedded: Workplace) -> None:
    dataset_id = embedded.new_dataset()
    with embedded.database.writing() as session:
        session.get_one(Dataset, dataset_id).license = "CC BY 4.0"
    undisturbed, job_id = (embedded.new_job(dataset_id, **WANTED) for _ in range(2))
    embedded.attempt(undisturbed)
    progress = [
        event.data
        for event in events_of(embedded.database, undisturbed)
        if event.type == "progress" and event.data["phase"] == "evaluate"
    ]
    assert progress
    for one in progress:
        # Not before both architectures were seen; the whole set comes last.
        early = one["architecture"] == OWN and one["network"] == 1 and one["method"] != "whole"
        assert ("seconds_left" in one) != early and one.get("seconds_left", 0) >= 0, one
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
    described = json.loads(embedded.path(manifest.blob_key).read_bytes())
    small = [{"name": "cat", "images": 17}, {"name": "dog", "images": 17}]
    assert described["condensation"] == {
        "micro_batch": None,
        "small_classes": {
            "batch_real": {"limit": 32, "count": 2, "first": small},
            "ipc": {"limit": 1, "count": 0, "first": []},
        },
    }
    assert {name: job.result[name] for name in described["condensation"]} == described["condensation"]
    assert described["source"]["license"] == "CC BY 4.0"
    assert described["compute"]["flops"] == 2 * described["compute"]["flops_per_iteration"] > 0
    card = described["evaluation"]
    assert [(one["network"], one["images"], one["n"]) for one in card["results"]] == [
        *((OWN, method, 2) for method in [*SMALL_SETS, "whole"]),
        *((WIDER, method, 2) for method in SMALL_SETS),
    ]
    assert f"herding and k-center chose images by the features of one {OWN}" in card["protocol"]
    assert not any("Evaluated on the network" in limit for limit in card["limits"])

    def mean(method: str) -> float:
        return sum(after[method, OWN, repeat].accuracy or 0.0 for repeat in (0, 1)) / 2

    assert job.result["hlr"] == pytest.approx(mean("whole") - mean("condensed")), "on its own network"
    assert job.result["ior"] == pytest.approx(mean("condensed") - mean("random"))


def test_png_is_what_the_png_files_hold(embedded: Workplace, tmp_path: Path) -> None:
    """Trained once more on the files that were downloaded, a network gives the same answers."""
    evaluation = {"networks": 2, "epochs": 20, "baselines": []}
    job_id = embedded.new_job(iterations=2, ipc=3, lr=100.0, evaluation=evaluation)
    for _phase in ("condense and evaluate", "export"):
        embedded.attempt(job_id)
    job = job_of(embedded.database, job_id)
    assert job.state == "succeeded", job.problem
    with embedded.database.reading() as session:
        dataset = session.get_one(Dataset, job.dataset_id)
        blobs = {one.format: one.blob_key for one in session.scalars(select(Artifact))}
    with ZipFile(embedded.path(blobs["png"])) as archive:
        archive.extractall(tmp_path / "png")
        stated = json.loads(archive.read("manifest.json"))
    assert stated["png"]["clamped_fraction"] > 0.1, "or the loss would be none"
    files = ImageFolder(tmp_path / "png")
    assert dataset.blob_prefix is not None
    canonical = CanonicalSet.open(embedded.path(dataset.blob_prefix))
    known: dict[str, Any] = {
        "mean": canonical.manifest.mean,
        "std": canonical.manifest.std,
        "num_classes": len(canonical.manifest.classes),
    }
    downloaded = LabelledImages(
        images_NHWC=np.stack([np.asarray(image) for image, _ in files]),
        labels_N=np.array(files.targets),
        **known,
    )
    test = LabelledImages(images_NHWC=canonical.test.images_NHWC, labels_N=canonical.test.labels_N, **known)
    x_NCHW = downloaded.normalised(torch.arange(len(files)), "cpu")
    spec = CondenseSpec.model_validate(job.spec)
    config = spec.trial_plan().config(spec.network, len(files))
    rows = rows_of(embedded, job_id)
    for repeat in (0, 1):
        steps = train_and_score((x_NCHW, torch.tensor(files.targets)), test, config, repeat)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                score = end.value
                break
        assert rows["png", OWN, repeat].confusion == [list(row) for row in score.confusion]


def test_images_whose_last_checkpoint_is_damaged_are_finished_again_before_they_are_judged(
    embedded: Workplace,
) -> None:
    evaluation = {"networks": 1, "epochs": 20, "baselines": ["random"], "points": 1}
    job_id = embedded.new_job(iterations=4, evaluation=evaluation)
    embedded.attempt(job_id)
    finished, earlier = checkpoints_of_job(embedded, job_id)
    before = rows_of(embedded, job_id)
    images = embedded.path(finished.blob_key).read_bytes()
    assert finished.iteration == 4 > earlier.iteration
    # As if its attempt had ended after the condensed set and the random images were evaluated.
    embedded.path(finished.blob_key).write_bytes(images[:-1])
    with embedded.database.writing() as session:
        session.get_one(Job, job_id).phase = "evaluate"
        session.delete(session.get_one(Trial, before["png", OWN, 0].id))
    embedded.attempt(job_id)

    events = events_of(embedded.database, job_id)
    assert [event.data for event in events if event.type == "phase"] == [
        {"phase": "evaluate"},
        {"phase": "condense"},
        {"phase": "evaluate"},
    ]
    assert [event.data["iteration"] for event in events if event.type == "resumed"] == [earlier.iteration]
    newest = checkpoints_of_job(embedded, job_id)[0]
    assert newest.iteration == 4 and embedded.path(newest.blob_key).read_bytes() == images
    after = rows_of(embedded, job_id)
    assert {key: row.confusion for key, row in after.items()} == {
        key: row.confusion for key, row in before.items()
    }
    kept = {key[0] for key, row in after.items() if row.id == before[key].id}
    assert kept == {"random"}, "what was said of the images before is said anew"
    assert job_of(embedded.database, job_id).phase == "export"
