"""A condensed set is evaluated by a job of its own, and finds again what the job that made it found."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from core.db.models import Artifact, CondensedSet, Job, Trial
from core.jobs.submission import Asked, create_job
from core.kinds import KINDS
from core.kinds.condense.spec import CondenseSpec
from core.kinds.evaluate.spec import EvaluateSpec
from core.trials.results import FINAL
from tests.support.condensed import next_attempt, torch_as_it_was
from tests.support.leased import OWNER, job_of
from tests.support.workplace import Workplace, embedded_workplace
from worker import phases

Scores = dict[tuple[str, str, int], tuple[float, Any]]
WANTED = {"networks": 2, "epochs": 2, "whole_epochs": 2, "baselines": ["random", "herding", "whole"]}


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    with embedded_workplace(tmp_path, monkeypatch) as made:
        yield made


def to_the_end(place: Workplace, job_id: str) -> Job:
    with torch_as_it_was():
        while job_of(place.database, job_id).state == "queued":
            phases.run(next_attempt(place.database, place.storage, place.settings, job_id))
    return job_of(place.database, job_id)


def scores(place: Workplace, job_id: str) -> Scores:
    with place.database.reading() as session:
        rows = session.scalars(select(Trial).where(Trial.job_id == job_id, Trial.group == FINAL))
        return {(row.method, row.network, row.repeat): (row.accuracy or 0.0, row.confusion) for row in rows}


def evaluation(place: Workplace, made_by: str, spec: dict[str, Any]) -> str:
    with place.database.writing() as session:
        condensed = session.scalars(select(CondensedSet).where(CondensedSet.job_id == made_by)).one()
        assert condensed.dataset_id is not None
        asked = Asked(
            kind=KINDS["evaluate"],
            spec=EvaluateSpec.model_validate(spec),
            dataset_id=condensed.dataset_id,
            condensed_set_id=condensed.id,
        )
        job, _ = create_job(session, OWNER, asked, settings=place.settings, idempotency_key=None)
        return job.id


def test_it_finds_again_what_the_job_found_bit_for_bit(embedded: Workplace) -> None:
    made_by = embedded.new_job(iterations=2, evaluation=WANTED)
    finished = to_the_end(embedded, made_by)
    assert finished.state == "succeeded", finished.problem
    spec = CondenseSpec.model_validate(finished.spec)
    asked = {"architectures": [spec.network], "seed": spec.seed, "augment": spec.augment} | WANTED
    job = to_the_end(embedded, evaluation(embedded, made_by, asked))
    assert (job.state, job.phase) == ("succeeded", "export"), job.problem
    for ended in (finished, job):
        assert ended.progress is not None
        assert ended.progress["done"] == ended.progress["total"], ended.kind
        assert "seconds_left" not in ended.progress
    assert scores(embedded, job.id) == scores(embedded, made_by)
    assert job.result is not None and finished.result is not None
    assert {name: job.result[name] for name in ("hlr", "ior")} == {
        name: finished.result[name] for name in ("hlr", "ior")
    }
    assert job.result["renormalised"] is False

    with embedded.database.reading() as session:
        files = {
            row.format: row for row in session.scalars(select(Artifact).where(Artifact.job_id == job.id))
        }
    assert files.keys() == {"results", "results-csv"}
    card, table = (
        b"".join(embedded.storage.read(files[name].blob_key, 0, files[name].size)).decode()
        for name in ("results", "results-csv")
    )
    lines = list(csv.DictReader(io.StringIO(table)))
    assert len(lines) == len(scores(embedded, job.id)) == 10
    found = {
        (line["method"], line["network"], int(line["repeat"])): float(line["accuracy"]) for line in lines
    }
    assert found == {key: accuracy for key, (accuracy, _) in scores(embedded, job.id).items()}
    told = json.loads(card)
    assert {one["method"] for one in told["results"]} == {"condensed", "png", "random", "herding", "whole"}
    assert told["condensed_set"]["images"] == 2


def test_another_network_and_another_seed_are_judged_too(embedded: Workplace) -> None:
    made_by = embedded.new_job(iterations=2, evaluation=WANTED | {"baselines": []})
    to_the_end(embedded, made_by)
    asked = WANTED | {"architectures": [{"name": "mlp"}], "seed": 3, "baselines": []}
    job = to_the_end(embedded, evaluation(embedded, made_by, asked))
    assert job.state == "succeeded", job.problem
    assert {network for _, network, _ in scores(embedded, job.id)} == {"mlp-none"}


def test_a_set_in_other_units_and_order_of_classes_is_converted(embedded: Workplace) -> None:
    made_by = embedded.new_job(iterations=2, evaluation=WANTED | {"baselines": []})
    to_the_end(embedded, made_by)
    asked = WANTED | {"architectures": [{"width": 4}], "baselines": []}
    job_id = evaluation(embedded, made_by, asked)
    from core.engine.images import LabelledImages
    from core.kinds.evaluate.run import images
    from worker.inputs import Inputs, opened

    attempt = next_attempt(embedded.database, embedded.storage, embedded.settings, job_id)
    with torch_as_it_was(), opened(attempt, job_of(embedded.database, job_id)) as canonical:
        given = Inputs(attempt, job_of(embedded.database, job_id), canonical)
        as_made, labels_N = images(given)
        condensed, real = given.condensed, given.train
        other = type(condensed)(
            images_NCHW=condensed.images_NCHW * 2.0,
            labels_N=1 - condensed.labels_N,
            classes=tuple(reversed(condensed.classes)),
            mean=condensed.mean,
            std=tuple(value / 2 for value in condensed.std),
            card=condensed.card,
        )
        given.condensed = other
        converted, same_labels_N = images(given)
    assert isinstance(real, LabelledImages)
    assert (converted - as_made).abs().max() < 1e-5
    assert same_labels_N.tolist() == labels_N.tolist()
