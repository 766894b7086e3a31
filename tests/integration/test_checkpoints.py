"""A checkpoint comes back bit for bit, or is stepped over; never a damaged one, never a NaN."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from core.db.models import Checkpoint, Job
from core.db.session import Database
from core.engine.errors import NumericalError
from core.engine.state import CondenseState
from core.errors import LeaseLost
from core.settings import Settings
from core.storage.local import LocalStorage
from core.work.files import KEPT_CHECKPOINTS, checkpoint_key, checkpoints_of
from core.work.transitions import move
from tests.support.leased import event_types, events_of, job_of, new_row, take
from tests.support.works import keep
from tests.support.works import newest as load
from worker.attempt import Attempt

pytestmark = pytest.mark.one_database


def state_at(iteration: int) -> CondenseState:
    chance = torch.Generator().manual_seed(iteration)
    images_NCHW = torch.randn((2, 3, 16, 16), generator=chance)
    # Values that a detour over text or another width of float would change.
    images_NCHW[0, 0, 0, :4] = torch.tensor([-0.0, 1e-42, torch.finfo(torch.float32).max, 1 / 3])
    velocity_NCHW = torch.randn((2, 3, 16, 16), generator=chance).transpose(2, 3)  # not contiguous
    tensors = {"images_NCHW": images_NCHW, "velocity_NCHW": velocity_NCHW}
    return CondenseState(tensors=tensors, iteration=iteration)


def assert_same_bits(found: CondenseState | None, expected: CondenseState) -> None:
    assert found is not None
    assert found.iteration == expected.iteration
    assert found.tensors.keys() == expected.tensors.keys()
    for name, other in expected.tensors.items():
        one = found.tensors[name]
        assert one.dtype == other.dtype == torch.float32
        assert one.contiguous().numpy().tobytes() == other.contiguous().numpy().tobytes(), name


@pytest.fixture
def attempt(database: Database, tmp_path: Path) -> Attempt:
    job_id = new_row(database, Job)
    return Attempt(
        lease=take(database, job_id),
        settings=Settings(data_dir=tmp_path),
        database=database,
        storage=LocalStorage(tmp_path),
    )


def next_attempt(attempt: Attempt) -> Attempt:
    """Another worker's, after the first went back to the queue."""
    with attempt.writing() as session:
        move(session, Job, attempt.lease.row_id, "queued")
    lease = take(attempt.database, attempt.lease.row_id)
    return Attempt(lease=lease, settings=attempt.settings, database=attempt.database, storage=attempt.storage)


def kept(attempt: Attempt) -> list[tuple[int, int]]:
    """(fence, iteration), newest first, of the rows; the blobs must be those of the rows."""
    with attempt.database.reading() as session:
        rows = checkpoints_of(session, session.get_one(Job, attempt.lease.row_id))
    assert list(attempt.storage.keys()) == sorted(row.blob_key for row in rows)
    return [(row.fence, row.iteration) for row in rows]


def path_of(attempt: Attempt, iteration: int) -> Path:
    assert isinstance(attempt.storage, LocalStorage)
    return attempt.storage.path(checkpoint_key(attempt.lease.row_id, attempt.lease.fence, iteration))


def test_the_round_trip_is_exact_to_the_bit(attempt: Attempt) -> None:
    assert load(attempt) is None
    keep(attempt, state_at(7))
    assert_same_bits(load(attempt), state_at(7))
    assert_same_bits(load(next_attempt(attempt)), state_at(7))
    job = job_of(attempt.database, attempt.lease.row_id)
    assert job.iteration == 7
    saved = events_of(attempt.database, job.id)[2]
    assert saved.type == "checkpoint"
    assert saved.data == {"iteration": 7, "bytes": path_of(attempt, 7).stat().st_size}


def test_a_micro_batch_that_was_found_to_fit_comes_back(attempt: Attempt) -> None:
    keep(attempt, replace(state_at(7), micro_batch=16))
    found = load(next_attempt(attempt))
    assert_same_bits(found, state_at(7))
    assert found is not None and found.micro_batch == 16


@pytest.mark.parametrize("micro_batch", [None, 16])
def test_one_that_the_first_version_wrote_comes_back(attempt: Attempt, micro_batch: int | None) -> None:
    """It knew two tensors by name; what is written now for images stored as pixels is the same file."""
    state = replace(state_at(7), micro_batch=micro_batch)
    metadata = None if micro_batch is None else {"micro_batch": str(micro_batch)}
    images_NCHW, velocity_NCHW = (state.tensors[name] for name in ("images_NCHW", "velocity_NCHW"))
    written = save({"images_NCHW": images_NCHW, "velocity_NCHW": velocity_NCHW.contiguous()}, metadata)
    keep(attempt, state)
    assert path_of(attempt, 7).read_bytes() == written
    found = load(next_attempt(attempt))
    assert_same_bits(found, state)
    assert found is not None and found.micro_batch == micro_batch


def test_any_named_tensors_come_back(attempt: Attempt) -> None:
    chance = torch.Generator().manual_seed(0)
    tensors = {"small_NCHW": torch.randn((2, 3, 8, 8), generator=chance), "scale_N": torch.ones(2)}
    state = CondenseState(tensors=tensors, iteration=3)
    keep(attempt, state)
    assert_same_bits(load(attempt), state)


def test_progress_forgives_earlier_setbacks(attempt: Attempt) -> None:
    with attempt.writing() as session:
        session.get_one(Job, attempt.lease.row_id).setbacks = {"worker_lost": 2}
    keep(attempt, state_at(1))
    assert job_of(attempt.database, attempt.lease.row_id).setbacks == {}


def test_only_two_are_kept(attempt: Attempt) -> None:
    for iteration in (1, 2, 3, 4):
        keep(attempt, state_at(iteration))
        assert len(kept(attempt)) == min(iteration, KEPT_CHECKPOINTS)
    assert kept(attempt) == [(1, 4), (1, 3)]
    assert_same_bits(load(attempt), state_at(4))


def test_saving_the_same_iteration_again_is_harmless(attempt: Attempt) -> None:
    """The last iteration may also be one that a stop request or the clock had saved."""
    keep(attempt, state_at(1))
    for _ in range(2):
        keep(attempt, state_at(2))
    assert kept(attempt) == [(1, 2), (1, 1)]
    assert_same_bits(load(attempt), state_at(2))


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)


def flip_a_byte_of_the_header(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[20] ^= 1
    file.write_bytes(content)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def empty(file: Path) -> None:
    file.write_bytes(b"")


DAMAGE = [flip_a_byte, flip_a_byte_of_the_header, truncate, empty, Path.unlink]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_a_damaged_one_is_stepped_over_and_reported(attempt: Attempt, damage: Callable[[Path], None]) -> None:
    for iteration in (1, 2):
        keep(attempt, state_at(iteration))
    damage(path_of(attempt, 2))
    assert_same_bits(load(attempt), state_at(1))
    reported = events_of(attempt.database, attempt.lease.row_id)[-1]
    assert reported.type == "checkpoint_damaged"
    assert reported.data["iteration"] == 2 and reported.data["detail"]


def test_if_all_are_damaged_there_is_none(attempt: Attempt) -> None:
    for iteration in (1, 2):
        keep(attempt, state_at(iteration))
        flip_a_byte(path_of(attempt, iteration))
    assert load(attempt) is None
    assert event_types(attempt.database, attempt.lease.row_id)[-2:] == ["checkpoint_damaged"] * 2


def test_damaged_ones_do_not_displace_what_a_later_attempt_saves(attempt: Attempt) -> None:
    """It starts over, so its iterations are lower: they are the newest nevertheless."""
    for iteration in (10, 20):
        keep(attempt, state_at(iteration))
        flip_a_byte(path_of(attempt, iteration))
    later = next_attempt(attempt)
    assert load(later) is None
    keep(later, state_at(3))
    assert_same_bits(load(later), state_at(3))
    keep(later, state_at(4))
    assert kept(later) == [(2, 4), (2, 3)]
    assert_same_bits(load(next_attempt(later)), state_at(4))


@pytest.mark.parametrize("tensor", ["images_NCHW", "velocity_NCHW"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_state_that_is_not_finite_is_never_kept(attempt: Attempt, tensor: str, value: float) -> None:
    keep(attempt, state_at(1))
    broken = state_at(2)
    broken.tensors[tensor][1, 2, 3, 4] = value
    with pytest.raises(NumericalError, match="1 of 1536 values"):
        keep(attempt, broken)
    assert kept(attempt) == [(1, 1)]


def test_an_attempt_that_lost_its_lease_keeps_and_deletes_nothing_known(attempt: Attempt) -> None:
    for iteration in (1, 2):
        keep(attempt, state_at(iteration))
    later = next_attempt(attempt)
    with pytest.raises(LeaseLost):
        keep(attempt, state_at(3))
    with attempt.database.reading() as session:
        assert session.get(Checkpoint, (attempt.lease.row_id, 1, 3)) is None
    assert_same_bits(load(later), state_at(2))
    assert path_of(attempt, 1).exists()
    keep(later, state_at(3))
    assert_same_bits(load(later), state_at(3))
