"""What is deleted by age and by quota, and what never is."""

import pytest
from fastapi import FastAPI
from sqlalchemy import update
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from core import retention
from core.catalogue.usage import usage_of
from core.db.models import CondensedSet, Dataset, Job, Upload
from core.db.session import Database
from core.db.types import db_now
from core.settings import Settings
from core.storage import Storage
from core.storage.local import LocalStorage
from tests.support.api import (
    SMALL,
    add_artifact,
    bring,
    client_of,
    queued_job,
    ready_dataset,
    token_of,
    upload,
)
from tests.support.sets import add_set

DAY = 86_400


def age(
    database: Database,
    model: type[Job] | type[Upload] | type[Dataset] | type[CondensedSet],
    row_id: str,
    days: float,
) -> None:
    when = db_now(-days * DAY)
    times = {"created_at": when} | ({} if model is Upload else {"finished_at": when})
    with database.writing() as session:
        session.execute(update(model).where(model.id == row_id).values(**times))


def with_limits(settings: Settings, **limits: object) -> Settings:
    return settings.model_copy(update=limits)


def due(database: Database, settings: Settings) -> list[tuple[str, str]]:
    with database.reading() as session:
        return [(one.kind, one.id) for one in retention.candidates(session, settings)]


def test_nothing_goes_unless_asked_for(http: TestClient, database: Database, settings: Settings) -> None:
    job_id = queued_job(http, database)
    bring(database, job_id, "cancelled")
    age(database, Job, job_id, 10_000)
    age(database, Upload, upload(http)["id"], 10_000)
    assert due(database, settings) == []


def test_old_jobs_and_uploads_go_with_their_files(
    http: TestClient, database: Database, storage: Storage, settings: Settings
) -> None:
    old, young, waiting = (queued_job(http, database) for _ in range(3))
    bring(database, old, "running", "succeeded")
    bring(database, young, "cancelled")
    add_artifact(database, storage, old, b"artifact")
    for job_id in (old, waiting):
        age(database, Job, job_id, 31)
    age(database, Job, young, 29)
    sent, kept = upload(http, b"old bytes")["id"], upload(http, b"new bytes")["id"]
    age(database, Upload, sent, 8)
    limits = with_limits(settings, retention_days_jobs=30, retention_days_uploads=7)
    assert due(database, limits) == [("job", old), ("upload", sent)]
    with capture_logs() as lines:
        gone = retention.apply(database, storage, limits)
    assert [(one.kind, one.id, one.bytes) for one in gone] == [("job", old, 8), ("upload", sent, 9)]
    written = [line for line in lines if line["event"] == "deleted by retention"]
    assert [(line["kind"], line["id"], line["owner"], line["bytes"]) for line in written] == [
        ("job", old, "local", 8),
        ("upload", sent, "local", 9),
    ]
    assert http.get(f"/v1/jobs/{old}").status_code == 404
    assert list(storage.keys(f"jobs/{old}")) == []
    for path in (f"jobs/{young}", f"jobs/{waiting}", f"uploads/{kept}"):
        assert http.get(f"/v1/{path}").status_code == 200
    assert due(database, limits) == []


def test_what_work_needs_stays(
    http: TestClient, database: Database, storage: Storage, settings: Settings
) -> None:
    """However old: the upload of a data set that is being read in, the data set of a job that waits."""
    ingesting = http.post("/v1/datasets", json={"upload_id": upload(http, b"x")["id"]}).json()
    job = http.get(f"/v1/jobs/{queued_job(http, database)}").json()
    unused, used = ready_dataset(http, database), ready_dataset(http, database)
    bring_job = http.post("/v1/jobs", json={"dataset_id": used, **SMALL}).json()["id"]
    bring(database, bring_job, "cancelled")
    for dataset_id in (ingesting["id"], job["dataset_id"], unused, used):
        age(database, Dataset, dataset_id, 100)
    age(database, Upload, ingesting["upload_id"], 100)
    limits = with_limits(settings, retention_days_datasets=50, retention_days_uploads=50)
    assert due(database, limits) == [("dataset", unused)], "the other was used just now"
    retention.apply(database, storage, limits)
    for dataset_id, status in ((unused, 404), (used, 200), (job["dataset_id"], 200), (ingesting["id"], 200)):
        assert http.get(f"/v1/datasets/{dataset_id}").status_code == status


def test_an_owner_who_stores_too_much_loses_the_oldest(
    app: FastAPI, database: Database, storage: Storage, settings: Settings
) -> None:
    with client_of(app, token_of(database, "a")) as a, client_of(app, token_of(database, "b")) as b:
        job_id = queued_job(a, database)
        add_artifact(database, storage, job_id, b"x" * 100)
        bring(database, job_id, "running", "succeeded")
        age(database, Job, job_id, 5)
        source = a.get("/v1/uploads").json()["data"][0]["id"]
        older, newer = upload(a, b"o" * 100)["id"], upload(a, b"n" * 100)["id"]
        age(database, Upload, older, 6)
        theirs = upload(b, b"b" * 300)["id"]
        # 310 bytes are stored: 10 of the data set's upload.
        limits = with_limits(settings, owner_stored_bytes=400, retention_full_percent=75)
        assert due(database, limits) == [("upload", older)]
        tight = with_limits(settings, owner_stored_bytes=400, retention_full_percent=30)
        assert due(database, tight) == [
            ("upload", older), ("job", job_id), ("upload", theirs),
        ]  # fmt: skip
        retention.apply(database, storage, limits)
        assert due(database, limits) == []
        for upload_id, status in ((older, 404), (newer, 200), (source, 200)):
            assert a.get(f"/v1/uploads/{upload_id}").status_code == status


def test_data_sets_go_for_the_quota_too_unless_a_job_needs_them(
    http: TestClient, database: Database, storage: Storage, settings: Settings
) -> None:
    needed, idle = ready_dataset(http, database), ready_dataset(http, database)
    assert http.post("/v1/jobs", json={"dataset_id": needed, **SMALL}).status_code == 202
    with database.writing() as session:
        session.execute(update(Dataset).values(size=100))
    limits = with_limits(settings, owner_stored_bytes=200, retention_full_percent=80)
    with database.reading() as session:
        found = [(one.kind, one.id) for one in retention.candidates(session, limits) if one.kind == "dataset"]
    assert found == [("dataset", idle)]
    retention.apply(database, storage, limits)
    assert [http.get(f"/v1/datasets/{one}").status_code for one in (needed, idle)] == [200, 404]


def test_what_changed_meanwhile_stays(
    http: TestClient,
    database: Database,
    storage: Storage,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = upload(http)["id"]
    age(database, Upload, sent, 8)
    limits = with_limits(settings, retention_days_uploads=7)
    with database.reading() as session:
        listed = retention.candidates(session, limits)
    assert http.post("/v1/datasets", json={"upload_id": sent}).status_code == 202
    monkeypatch.setattr(retention, "candidates", lambda *_: listed)
    assert retention.apply(database, storage, limits) == []
    assert http.get(f"/v1/uploads/{sent}").status_code == 200


def test_condensed_sets_that_no_job_made_or_takes_go(
    http: TestClient, database: Database, storage: LocalStorage, settings: Settings
) -> None:
    unused, taken, used, young = (add_set(database, storage) for _ in range(4))
    job_id = queued_job(http, database)
    bring(database, job_id, "running", "succeeded")
    of_job = add_set(database, storage, job_id=job_id)
    waiting = http.post("/v1/condensed-sets", json={"upload_id": upload(http, b"waits")["id"]}).json()
    ended = {taken: "queued", used: "cancelled"}
    for one, state in ended.items():
        dataset_id = ready_dataset(http, database, image_size=16)
        body = {"kind": "evaluate", "dataset_id": dataset_id, "condensed_set_id": one}
        evaluation = http.post("/v1/jobs", json=body).json()["id"]
        if state != "queued":
            bring(database, evaluation, state)
    for one in (unused, taken, used, of_job, waiting["id"]):
        age(database, CondensedSet, one, 100)
    age(database, Upload, waiting["upload_id"], 100)
    limits = with_limits(settings, retention_days_condensed_sets=50, retention_days_uploads=50)
    assert due(database, limits) == [("condensed_set", unused)]
    (gone,) = retention.apply(database, storage, limits)
    assert gone.bytes > 0
    for one, status in ((unused, 404), (taken, 200), (used, 200), (young, 200), (of_job, 200)):
        assert http.get(f"/v1/condensed-sets/{one}").status_code == status
    assert unused not in {key.split("/")[1] for key in storage.keys("condensed")}


def test_a_condensed_set_goes_for_room(
    http: TestClient, database: Database, storage: LocalStorage, settings: Settings
) -> None:
    older, newer = add_set(database, storage), add_set(database, storage)
    age(database, CondensedSet, older, 2)
    age(database, CondensedSet, newer, 1)
    with database.reading() as session:
        stored = usage_of(session, "local").stored_bytes
    limits = with_limits(settings, owner_stored_bytes=stored, retention_full_percent=90)
    assert due(database, limits) == [("condensed_set", older)]
