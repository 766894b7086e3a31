"""The phase `condense` when memory is short: reported, recorded, and remembered by the next attempt."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.db.models import Checkpoint, Job
from core.db.session import Database
from core.engine.condense import condense
from core.engine.state import CondenseState
from core.kinds.condense.spec import CondenseSpec
from core.settings import Settings
from core.storage.local import LocalStorage
from core.work.transitions import move
from tests.support.leased import TINY, events_of, job_of, new_row, take
from tests.support.limited import limit_convnet
from tests.support.works import condense_phase
from tests.unit.engine.problems import random_images
from worker.attempt import Attempt

pytestmark = pytest.mark.one_database

REAL = random_images((20, 20))


@pytest.fixture
def attempt(database: Database, tmp_path: Path) -> Attempt:
    job_id = new_row(database, Job, spec=CondenseSpec.model_validate(TINY | {"iterations": 6}))
    settings = Settings(data_dir=tmp_path, progress_seconds=0, checkpoint_seconds=0)
    storage = LocalStorage(tmp_path)
    return Attempt(lease=take(database, job_id), settings=settings, database=database, storage=storage)


def run(attempt: Attempt) -> CondenseState:
    return condense_phase(attempt, REAL)


def recorded(attempt: Attempt, *kinds: str) -> list[tuple[str, dict[str, object]]]:
    events = events_of(attempt.database, attempt.lease.row_id)
    return [(event.type, event.data) for event in events if event.type in kinds]


def test_the_estimate_is_an_event_and_stays_in_the_progress(attempt: Attempt) -> None:
    run(attempt)
    ((_, expected),) = recorded(attempt, "estimate")
    assert expected["micro_batch"] == 16 and expected["halved"] is False
    assert expected["seconds"] == pytest.approx(6 * float(str(expected["seconds_per_iteration"])))
    progress = job_of(attempt.database, attempt.lease.row_id).progress
    assert progress is not None and progress["iteration"] == 6
    assert progress["estimate"] == expected
    assert recorded(attempt, "micro_batch_halved") == []


def test_memory_that_is_short_from_the_start_is_told_once(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_convnet(monkeypatch, 5)
    assert run(attempt).micro_batch == 4
    assert recorded(attempt, "micro_batch_halved") == [
        ("micro_batch_halved", {"iteration": 1, "micro_batch": 4})
    ]


def test_the_next_attempt_goes_on_with_what_was_found_to_fit(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CondenseSpec.model_validate(
        job_of(attempt.database, attempt.lease.row_id).spec
    ).condense_config()
    # Two dry iterations and two real ones fit, of three passes each.
    limit_convnet(monkeypatch, 5, after=12)
    undisturbed = run(attempt)
    assert recorded(attempt, "micro_batch_halved") == [
        ("micro_batch_halved", {"iteration": 3, "micro_batch": 4})
    ]

    # The checkpoint of the last iteration is gone; memory would suffice again.
    limit_convnet(monkeypatch, 1_000)
    with attempt.writing() as session:
        session.delete(session.get_one(Checkpoint, (attempt.lease.row_id, attempt.lease.fence, 6)))
        move(session, Job, attempt.lease.row_id, "queued")
    later = replace(attempt, lease=take(attempt.database, attempt.lease.row_id))
    resumed = run(later)
    assert recorded(later, "resumed") == [("resumed", {"iteration": 5})]
    assert len(recorded(later, "estimate")) == 1, "the first attempt's"
    progress = job_of(later.database, later.lease.row_id).progress
    assert progress is not None and progress["estimate"] == recorded(later, "estimate")[0][1]
    assert resumed.micro_batch == 4
    assert torch.equal(resumed.tensors["images_NCHW"], undisturbed.tensors["images_NCHW"])
    *_, unlimited = condense(REAL, config)
    assert not torch.equal(resumed.tensors["images_NCHW"], unlimited.state.tensors["images_NCHW"]), (
        "or it would not matter"
    )
