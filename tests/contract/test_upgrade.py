"""A database that the version before kinds filled goes on serving whoever filled it, and goes back."""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Engine, MetaData, inspect, select, update
from sqlalchemy.exc import IntegrityError
from starlette.testclient import TestClient

from api.app import create_app
from core.db.migrate import alembic_config, upgrade
from core.db.models import Artifact, CondensedSet, Job, Trial
from core.db.session import Database, make_engine
from core.settings import Settings
from core.storage.local import LocalStorage
from core.vocabulary import JOB_STATES
from tests.support.api import client_of
from tests.support.databases import empty_postgres, empty_sqlite
from tests.support.leased import process_settings

BEFORE = "0011"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HASH = "ab" * 32
OWN = "convnet-d3-w128-instance"
MANIFEST = {
    "schema": "condensery.canonical/1", "classes": ["cat", "dog"], "image_size": 32, "channels": 3,
    "source_format": "imagefolder", "split_rule": "its own", "mean": [0.5] * 3, "std": [0.25] * 3,
    "content_hash": HASH, "report": {"warnings": [], "suggestions": {"ipc": [1]}},
    "splits": {
        "train": {"count": 20, "per_class": [10, 10]}, "test": {"count": 4, "per_class": [2, 2]},
    },
}  # fmt: skip
#: What was sent, as that version wrote it down to know it again: by this text the key's hash was made.
SENT = """{"dataset_id": "ds_1", "name": null, "priority": "normal", "spec": {"augment": \
"color_crop_cutout_flip_scale_rotate", "batch_real": null, "evaluation": {"baselines": ["random"], \
"cross_architecture": [], "epochs": 1000, "networks": 5, "points": 2, "whole_epochs": null}, "init": \
"real", "ipc": 1, "iterations": 5, "lr": null, "lr_decay": null, "momentum": null, "network": {"activation": \
null, "depth": null, "name": "convnet", "norm": null, "pooling": null, "width": null}, "recipe": "fast", \
"seed": 0}}"""
BODY = {
    "dataset_id": "ds_1", "ipc": 1, "iterations": 5, "recipe": "fast",
    "evaluation": {"points": 2, "baselines": ["random"]},
}  # fmt: skip
#: What it made of that, and kept with the job.
SPEC: dict[str, Any] = {
    "recipe": "fast", "ipc": 1, "iterations": 5, "batch_real": 64, "lr": 10.0, "lr_decay": 0.5,
    "momentum": 0.5, "init": "real", "augment": "color_crop_cutout_flip_scale_rotate",
    "network": {
        "name": "convnet", "width": 128, "depth": 3, "norm": "instance", "activation": "relu",
        "pooling": "avg",
    },
    "evaluation": {
        "networks": 5, "epochs": 1000, "whole_epochs": 1000, "points": 2, "baselines": ["random"],
        "cross_architecture": [],
    },
    "seed": 0,
}  # fmt: skip
RESULT = {"environment": {"device": "cpu"}, "hlr": None, "ior": 0.25, "micro_batch": None}
#: Each state, in a phase that it can be in.
JOBS = {
    "job_queued": ("queued", "condense"), "job_evaluating": ("queued", "evaluate"),
    "job_exporting": ("queued", "export"), "job_running": ("running", "evaluate"),
    "job_pausing": ("pausing", "condense"), "job_paused": ("paused", "evaluate"),
    "job_cancelling": ("cancelling", "condense"), "job_cancelled": ("cancelled", "condense"),
    "job_succeeded": ("succeeded", "export"), "job_failed": ("failed", "condense"),
}  # fmt: skip
PROBLEM = {"code": "numerical", "detail": "the loss is not finite"}
ACCURACIES = {"condensed": (0.5, 0.7), "random": (0.35,)}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database as that version left it."""
    if request.param == "sqlite":
        found = empty_sqlite(tmp_path)
        _fill(found)
        yield found
    else:
        with empty_postgres(request.getfixturevalue("postgres_server")) as found:
            _fill(found)
            yield found


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    with process_settings(monkeypatch, data_dir=tmp_path / "data") as made:
        yield made


@pytest.fixture
def database(url: str, settings: Settings) -> Iterator[Database]:
    upgrade(url)
    made = Database(url)
    yield made
    made.engine.dispose()


@pytest.fixture
def http(database: Database, settings: Settings) -> Iterator[TestClient]:
    with client_of(create_app(settings, database, LocalStorage(settings.data_dir))) as client:
        yield client


def _fill(url: str) -> None:
    command.upgrade(alembic_config(url), BEFORE)
    engine = make_engine(url)
    tables = _tables(engine)
    with engine.begin() as connection:
        for table, rows in _rows().items():
            for row in rows:
                connection.execute(tables[table].insert().values(owner="local", created_at=NOW, **row))
    engine.dispose()


def _tables(engine: Engine) -> dict[str, Any]:
    found = MetaData()
    found.reflect(engine)
    return dict(found.tables)


def _rows() -> dict[str, list[dict[str, Any]]]:
    held = {"setbacks": {}, "event_seq": 0, "updated_at": NOW}
    jobs = [
        {
            **held, "id": job_id, "name": None, "dataset_id": "ds_1", "data_hash": HASH, "spec": SPEC,
            "state": state, "phase": phase, "priority": 1, "iteration": 5, "resumes": 0, "fence": 2,
            "result": RESULT if state == "succeeded" else None,
            "problem": PROBLEM if state == "failed" else None,
            "lease_until": NOW if state in ("running", "pausing", "cancelling") else None,
            "finished_at": NOW if state in ("cancelled", "succeeded", "failed") else None,
        }
        for job_id, (state, phase) in JOBS.items()
    ]  # fmt: skip
    done = "job_succeeded"
    return {
        "datasets": [
            {
                **held, "id": "ds_1", "name": "pets", "state": "ready", "fence": 1, "seed": 0, "size": 1,
                "images_done": 24, "images_total": 24, "image_size": 32, "channels": 3, "license": "MIT",
                "manifest": MANIFEST, "content_hash": HASH, "blob_prefix": "datasets/ds_1/a1",
            }
        ],
        "jobs": jobs,
        "evaluations": [
            {
                "id": f"ev_{job_id}_{method}_{repeat}", "job_id": job_id, "fence": 2, "method": method,
                "network": OWN, "repeat": repeat, "epochs": 1000, "train_images": 2, "accuracy": accuracy,
                "per_class": [accuracy, accuracy], "confusion": [[1, 1], [0, 2]], "seconds": 1.5,
            }
            for job_id in (done, "job_running")
            for method, accuracies in ACCURACIES.items()
            for repeat, accuracy in enumerate(accuracies)
        ],
        "accuracy_points": [
            {
                "job_id": done, "iteration": iteration, "repeat": repeat, "fence": 1, "accuracy": accuracy,
                "seconds": 1.0,
            }
            for iteration, accuracies in ((2, (0.2, 0.4)), (3, (0.5,)))
            for repeat, accuracy in enumerate(accuracies)
        ],
        "metrics": [
            {"job_id": done, "fence": fence, "iteration": at, "loss": loss, "seconds": float(at)}
            for fence, at, loss in ((1, 1, 9.0), (1, 2, 8.0), (2, 2, 7.0), (2, 3, 6.0))
        ],
        "artifacts": [
            {
                "id": f"art_{form}", "job_id": done, "fence": 2, "format": form, "file_name": f"set.{form}",
                "media_type": "application/octet-stream", "size": 3, "sha256": HASH,
                "blob_key": f"jobs/{done}/a2/{form}",
            }
            for form in ("safetensors", "npz")
        ],
        "idempotency_keys": [
            {
                "key": "order 66", "request_hash": hashlib.sha256(SENT.encode()).hexdigest(),
                "resource_id": done,
            }
        ],
    }  # fmt: skip


def test_old_rows_are_read_as_before(http: TestClient) -> None:
    jobs = {one["id"]: one for one in http.get("/v1/jobs", params={"limit": 100}).json()["data"]}
    assert {job_id: (one["state"], one["phase"]) for job_id, one in jobs.items()} == JOBS
    assert {state for state, _ in JOBS.values()} == set(JOB_STATES), "one of every state"
    assert {one["kind"] for one in jobs.values()} == {"condense"}
    newer = dict.fromkeys(("form", "objective", "batch_synthetic"))
    as_now = {**SPEC, **newer, "evaluation": {**SPEC["evaluation"], "protocol": None}}
    assert all(one["spec"] == as_now for one in jobs.values())
    job = http.get("/v1/jobs/job_succeeded").json()
    assert [(one["method"], one["network"], one["accuracies"]) for one in job["evaluations"]] == [
        (method, OWN, list(accuracies)) for method, accuracies in ACCURACIES.items()
    ]
    condensed = job["evaluations"][0]
    assert (condensed["n"], condensed["epochs"], condensed["train_images"]) == (2, 1000, 2)
    assert (condensed["confusion"], condensed["seconds"]) == ([[2, 2], [0, 4]], 3.0)
    assert [(one["iteration"], one["mean"], one["n"]) for one in job["accuracies"]] == [
        (2, pytest.approx(0.3), 2), (3, 0.5, 1),
    ]  # fmt: skip
    assert {name: job["result"][name] for name in RESULT} == RESULT
    assert http.get("/v1/jobs/job_failed").json()["problem"]["code"] == "numerical"
    points = http.get("/v1/jobs/job_succeeded/metrics").json()["data"]
    assert [(one["iteration"], one["loss"]) for one in points] == [(1, 9.0), (2, 7.0), (3, 6.0)]
    files = http.get("/v1/jobs/job_succeeded/artifacts").json()["data"]
    assert {one["id"] for one in files} == {"art_safetensors", "art_npz"}


def test_pages_show_old_rows(http: TestClient) -> None:
    paths = [f"/jobs/{job_id}" for job_id in JOBS]
    for path in ("/jobs", *paths, "/jobs/job_succeeded/result", "/compare?job=job_succeeded&job=job_running"):
        assert http.get(path, headers={"Accept": "text/html"}).status_code == 200, path


def test_an_old_key_still_stands_for_the_job_that_it_made(http: TestClient) -> None:
    assert json.dumps(json.loads(SENT), sort_keys=True) == SENT
    again = http.post("/v1/jobs", json=BODY, headers={"Idempotency-Key": "order 66"})
    assert (again.status_code, again.json().get("id")) == (200, "job_succeeded"), again.text
    other = http.post("/v1/jobs", json={**BODY, "ipc": 2}, headers={"Idempotency-Key": "order 66"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    newer = http.post("/v1/jobs", json={**BODY, "form": "pixels"}, headers={"Idempotency-Key": "order 66"})
    assert (newer.status_code, newer.json()["code"]) == (422, "idempotency_key_reused")


def test_a_finished_job_has_made_a_condensed_set(http: TestClient, database: Database) -> None:
    made = http.get("/v1/jobs/job_succeeded").json()["made_set_id"]
    assert made is not None
    with database.reading() as session:
        (one,) = session.scalars(select(CondensedSet))
        assert (one.id, one.state, one.owner, one.job_id) == (made, "ready", "local", "job_succeeded")
        assert (one.name, one.license, one.data_hash, one.form) == ("pets", "MIT", HASH, "pixels")
        assert (one.classes, one.channels, one.image_size) == (2, 3, 32)
        assert (one.stored, one.decoded) == (1, 1)
        assert one.manifest == {"classes": ["cat", "dog"], "mean": [0.5] * 3, "std": [0.25] * 3}
        files = session.scalars(select(Artifact.id).where(Artifact.condensed_set_id == made))
        assert sorted(files) == ["art_npz", "art_safetensors"]


def test_jobs_wait_in_the_queue_of_their_phase(database: Database) -> None:
    with database.reading() as session:
        queues = {job.id: job.queue for job in session.scalars(select(Job))}
    assert queues == {job_id: "cpu" if phase == "export" else "gpu" for job_id, (_, phase) in JOBS.items()}


def test_trials_of_an_evaluation_that_was_under_way_are_not_done_again(database: Database) -> None:
    """`offer` makes what is missing, by these very names (core/trials/rows.py)."""
    with database.reading() as session:
        found = session.scalars(select(Trial).where(Trial.job_id == "job_running", Trial.group == "final"))
        names = {(one.method, one.network, one.protocol, one.repeat, one.step, one.state) for one in found}
    assert names == {
        (method, OWN, "paper", repeat, 0, "done")
        for method, accuracies in ACCURACIES.items()
        for repeat in range(len(accuracies))
    }


def test_a_curve_that_was_under_way_is_gone_on_with(database: Database) -> None:
    """What an attempt still has to train is told by step and repeat (core/kinds/condense/curves.py)."""
    order = (Trial.step, Trial.repeat)
    with database.reading() as session:
        found = session.scalars(select(Trial).where(Trial.group == "curve").order_by(*order))
        points = [(one.step, one.repeat, one.method, one.accuracy) for one in found]
    assert points == [(2, 0, "condensed", 0.2), (2, 1, "condensed", 0.4), (3, 0, "condensed", 0.5)]


def test_the_rules_of_the_tables_are_kept(database: Database) -> None:
    for wrong in ({"priority": 7}, {"state": "odd"}, {"queue": "odd"}, {"dataset_id": "ds_0"}):
        with pytest.raises(IntegrityError), database.writing() as session:
            session.execute(update(Job).where(Job.id == "job_queued").values(**wrong))


def test_deleting_a_job_takes_what_was_made_of_it_along(http: TestClient, database: Database) -> None:
    assert http.delete("/v1/jobs/job_succeeded").status_code == 204
    with database.reading() as session:
        assert session.scalars(select(CondensedSet)).all() == []
        assert session.scalars(select(Artifact)).all() == []
        assert session.scalars(select(Trial).where(Trial.job_id == "job_succeeded")).all() == []


def test_it_goes_back_with_all_that_the_version_before_knew(url: str) -> None:
    engine = make_engine(url)
    before = _content(engine)
    shape = _shape(engine)
    upgrade(url)
    command.downgrade(alembic_config(url), BEFORE)
    assert _shape(engine) == shape
    after = _content(engine)
    assert after == before
    engine.dispose()


def _content(engine: Engine) -> dict[str, list[str]]:
    """Every row of every table, without the order of columns."""
    with engine.connect() as connection:
        return {
            name: sorted(
                json.dumps(dict(row), sort_keys=True, default=_plain)
                for row in connection.execute(table.select()).mappings()
            )
            for name, table in _tables(engine).items()
            if name != "alembic_version"
        }


def _plain(value: object) -> str:
    assert isinstance(value, datetime)
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat()


def _shape(engine: Engine) -> dict[str, Any]:
    """Columns, and the names of what is held of them."""
    looked = inspect(engine)
    return {
        table: (
            sorted(column["name"] for column in looked.get_columns(table)),
            sorted(str(index["name"]) for index in looked.get_indexes(table)),
            sorted(str(rule["name"]) for rule in looked.get_check_constraints(table)),
            sorted(str(key["name"]) for key in looked.get_foreign_keys(table)),
            looked.get_pk_constraint(table)["constrained_columns"],
        )
        for table in looked.get_table_names()
    }
