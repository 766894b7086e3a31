"""Pictures of the images while they form: taken, replaced by a later attempt, gone with the job."""

import io
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sqlalchemy import delete
from starlette.testclient import TestClient

from core.db.models import Checkpoint, Job, Snapshot
from core.db.session import Database
from core.engine.config import CondenseConfig
from core.engine.state import initial_state, synthetic_labels
from core.export.eight_bit import levels_NHWC
from core.export.preview import grid
from core.kinds.condense import snapshots
from core.kinds.condense.spec import CondenseSpec
from core.settings import Settings
from core.storage.local import LocalStorage
from core.work.files import keep_only_published
from core.work.transitions import move
from tests.support.api import problem_of
from tests.support.leased import TINY, events_of, job_of, new_row, take
from tests.support.works import WorkOn, condense_phase
from tests.unit.engine.problems import random_images
from worker.attempt import Attempt

pytestmark = pytest.mark.one_database

REAL = random_images((20, 20))
ITERATIONS = 40


@pytest.fixture
def attempt(database: Database, storage: LocalStorage, settings: Settings) -> Attempt:
    job_id = new_row(database, Job, spec=CondenseSpec.model_validate(TINY | {"iterations": ITERATIONS}))
    with database.writing() as session:
        session.get_one(Job, job_id).owner = "local"
    often = settings.model_copy(update={"progress_seconds": 0, "checkpoint_seconds": 0})
    return Attempt(lease=take(database, job_id), settings=often, database=database, storage=storage)


def run(attempt: Attempt) -> None:
    condense_phase(attempt, REAL)


def shown(http: TestClient, attempt: Attempt) -> list[int]:
    answer = http.get(f"/v1/jobs/{attempt.lease.row_id}/snapshots")
    assert answer.status_code == 200, answer.text
    return [one["iteration"] for one in answer.json()["data"]]


def files(attempt: Attempt) -> set[str]:
    return set(attempt.storage.keys(f"jobs/{attempt.lease.row_id}"))


def test_evenly_from_the_start_to_the_end(
    http: TestClient, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "SECONDS", 0)
    run(attempt)
    evenly = list(range(0, ITERATIONS + 1, 2))
    assert shown(http, attempt) == evenly
    told = [one.data for one in events_of(attempt.database, attempt.lease.row_id) if one.type == "snapshot"]
    assert told == [{"iteration": iteration} for iteration in evenly]


def test_no_oftener_than_there_is_time(
    http: TestClient, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "SECONDS", 1e9)
    run(attempt)
    assert shown(http, attempt) == [0, ITERATIONS]


def test_the_first_shows_the_images_to_start_from(http: TestClient, attempt: Attempt) -> None:
    run(attempt)
    path = f"/v1/jobs/{attempt.lease.row_id}/snapshots"
    first = http.get(f"{path}/0")
    assert first.headers["content-type"] == "image/png"
    spec = CondenseSpec.model_validate(job_of(attempt.database, attempt.lease.row_id).spec)
    start = initial_state(REAL, spec.condense_config()).tensors["images_NCHW"].numpy()
    expected = grid(levels_NHWC(start, REAL.mean, REAL.std), synthetic_labels(REAL, 1).numpy(), 2)
    with Image.open(io.BytesIO(first.content)) as picture:
        assert picture.size == expected.size
        assert picture.tobytes() == expected.tobytes()
    assert http.get(f"{path}/{ITERATIONS}").content != first.content
    same = http.get(f"{path}/0", headers={"If-None-Match": first.headers["etag"]})
    assert same.status_code == 304
    problem = problem_of(http.get(f"{path}/1"), 404, "not_found")
    assert "no snapshot of iteration 1" in problem["detail"]


def test_only_what_is_shown_is_drawn(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def counted(images_NCHW: NDArray[np.float32], *normalisation: tuple[float, ...]) -> NDArray[np.uint8]:
        drawn.append(len(images_NCHW))
        return levels_NHWC(images_NCHW, *normalisation)

    monkeypatch.setattr(snapshots, "levels_NHWC", counted)
    taken = snapshots.Snapshots(WorkOn(attempt, REAL), CondenseConfig(ipc=20, iterations=ITERATIONS))
    taken.take(initial_state(REAL, CondenseConfig(ipc=20)))
    assert drawn == [2 * 10]


def test_a_later_attempt_shows_its_own(
    http: TestClient, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "SECONDS", 0)
    run(attempt)
    job_id = attempt.lease.row_id
    before = [http.get(f"/v1/jobs/{job_id}/snapshots/{one}").content for one in shown(http, attempt)]
    with attempt.writing() as session:
        session.execute(delete(Checkpoint).where(Checkpoint.job_id == job_id, Checkpoint.iteration == 40))
        assert move(session, Job, job_id, "queued")
    later = replace(attempt, lease=take(attempt.database, job_id))
    run(later)
    with attempt.database.reading() as session:
        rows = session.query(Snapshot).order_by(Snapshot.iteration).all()
    assert [row.fence for row in rows] == [1] * 20 + [2]
    assert {row.blob_key for row in rows} == {key for key in files(attempt) if key.endswith(".png")}
    assert [http.get(f"/v1/jobs/{job_id}/snapshots/{row.iteration}").content for row in rows] == before


def test_they_stay_until_the_job_is_deleted(
    http: TestClient, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "SECONDS", 1e9)
    run(attempt)
    job_id = attempt.lease.row_id
    assert http.post(f"/v1/jobs/{job_id}/cancel").status_code == 202
    with attempt.writing() as session:
        assert move(session, Job, job_id, "cancelled")
        keep_only_published(session, attempt.storage, job_id)
    assert shown(http, attempt) == [0, ITERATIONS]
    assert len(files(attempt)) == 2
    assert http.get("/v1/usage").json()["stored_bytes"]["snapshots"] > 0
    assert http.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert files(attempt) == set()
    with attempt.database.reading() as session:
        assert session.query(Snapshot).count() == 0
