"""Attempts in real processes: to the end, killed, cancelled, drained, taken over."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file
from sqlalchemy import func, select

from core.db.models import Artifact, Checkpoint, Job, Metric, Snapshot, Trial
from core.db.session import Database
from core.jobs.control import cancel_job, pause_job, resume_job
from core.storage.disk import sha256_file
from core.work.files import checkpoint_key, checkpoints_of
from core.work.reaper import reap
from tests.support.disks import fill, small_disk
from tests.support.leased import event_types, events_of, expire, job_of, take
from tests.support.processes import runner_of, wait_for
from tests.support.workplace import ENDLESS, Workplace, drain, embedded_workplace, workplace


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    with embedded_workplace(tmp_path, monkeypatch) as made:
        yield made


def kill_runner(job_id: str) -> None:
    pid = wait_for(lambda: runner_of(job_id))
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def test_a_job_runs_to_its_end(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with workplace(database, database_url, tmp_path / "data", monkeypatch) as place:
        job_id = place.new_job()
        place.attempt(job_id)
        job = job_of(database, job_id)
        assert (job.state, job.phase, job.iteration, job.setbacks) == ("queued", "export", 20, {})
        assert job.result is not None and job.result["environment"]["deterministic"] is True
        assert job.lease_until is None and job.dispatched_at is not None
        place.attempt(job_id)
        job = job_of(database, job_id)
        assert (job.state, job.fence, job.resumes) == ("succeeded", 2, 0)
        assert job.finished_at is not None and job.lease_until is None and job.problem is None
        assert job.started_at is not None and job.result is not None
        seconds = job.result["seconds"]
        assert job.result["flops_per_second"] > job.result["flops_per_iteration"] > 0
        assert seconds.keys() == {"condense", "evaluate", "export"} and min(seconds.values()) > 0
        assert sum(seconds.values()) <= (job.finished_at - job.started_at).total_seconds()
        with database.reading() as session:
            iterations = session.scalars(select(Metric.x).order_by(Metric.x)).all()
            assert iterations == list(range(1, 21))
            methods = session.scalars(select(Trial.method).order_by(Trial.method)).all()
            assert methods == ["condensed", "png", "random", "whole"]
            artifacts = session.scalars(select(Artifact)).all()
            snapshots = session.scalars(select(Snapshot)).all()
            assert session.scalar(select(func.count()).select_from(Checkpoint)) == 0
        published: list[Artifact | Snapshot] = [*artifacts, *snapshots]
        assert sorted(place.blobs_of(job_id)) == sorted(one.blob_key for one in published)
        for one in published:
            path = place.path(one.blob_key)
            assert (path.stat().st_size, sha256_file(path)) == (one.size, one.sha256)
        events = event_types(database, job_id)
        assert [e for e in events if e not in ("progress", "checkpoint", "snapshot")] == [
            "queued", "running", "estimate", "phase", *["evaluated"] * 4, "queued", "running", "succeeded",
        ]  # fmt: skip
        assert list((place.settings.data_dir / "tmp").iterdir()) == []


def test_a_killed_runner_is_noticed_at_once(embedded: Workplace) -> None:
    job_id = embedded.new_job(iterations=ENDLESS)

    def meanwhile() -> None:
        embedded.wait_for_event(job_id, "checkpoint")
        kill_runner(job_id)

    embedded.attempt(job_id, meanwhile=meanwhile)
    job = job_of(embedded.database, job_id)
    assert (job.state, job.setbacks, job.lease_until) == ("queued", {"worker_lost": 1}, None)
    assert job.iteration > 0
    last = events_of(embedded.database, job_id)[-1]
    assert last.data == {"reason": "its process killed by signal 9", "cause": "worker_lost", "setbacks": 1}
    assert runner_of(job_id) is None
    assert embedded.blobs_of(job_id), "its checkpoints stay"


def test_a_job_that_kills_its_runner_every_time_fails(embedded: Workplace) -> None:
    job_id = embedded.new_job(iterations=ENDLESS)
    for setbacks in range(1, embedded.settings.max_attempts + 1):
        embedded.attempt(job_id, meanwhile=lambda: kill_runner(job_id))
        assert job_of(embedded.database, job_id).state == ("queued" if setbacks < 3 else "failed")
    job = job_of(embedded.database, job_id)
    assert job.finished_at is not None
    assert job.problem is not None and job.problem["code"] == "worker_lost"
    assert job.problem["detail"] == (
        "3 attempts in a row ended without progress; the last one: its process killed by signal 9"
    )


def test_a_pause_may_take_longer_than_a_cancel(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step and a checkpoint take as long as they take: here, while the process is frozen."""
    with workplace(database, database_url, tmp_path / "data", monkeypatch, stop_grace_seconds=1) as place:
        job_id = place.new_job(iterations=ENDLESS)

        def meanwhile() -> None:
            place.wait_for_event(job_id, "checkpoint")
            pid = wait_for(lambda: runner_of(job_id))
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            with database.writing() as session:
                pause_job(session, session.get_one(Job, job_id))
            wait_for(lambda: signal.SIGTERM in pending(pid))
            time.sleep(3)  # that nothing happens has no event
            os.kill(pid, signal.SIGCONT)

        place.attempt(job_id, meanwhile=meanwhile)
        job = job_of(database, job_id)
        assert (job.state, job.setbacks) == ("paused", {})


def pending(pid: int) -> set[int]:
    """Signals that a process has been sent and has not taken."""
    status = Path(f"/proc/{pid}/status").read_text()
    (mask,) = (int(line.split()[1], 16) for line in status.splitlines() if line.startswith("ShdPnd"))
    return {number for number in signal.valid_signals() if mask >> (number - 1) & 1}


def test_a_cancelled_job_stops_and_leaves_only_its_snapshots(embedded: Workplace) -> None:
    job_id = embedded.new_job(iterations=ENDLESS)

    def meanwhile() -> None:
        embedded.wait_for_event(job_id, "checkpoint")
        assert embedded.blobs_of(job_id)
        with embedded.database.writing() as session:
            job = cancel_job(session, embedded.storage, session.get_one(Job, job_id))
            assert job.state == "cancelling"

    embedded.attempt(job_id, meanwhile=meanwhile)
    job = job_of(embedded.database, job_id)
    assert (job.state, job.lease_until, job.problem) == ("cancelled", None, None)
    assert job.finished_at is not None
    assert all("/snapshot-" in key for key in embedded.blobs_of(job_id))
    with embedded.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Checkpoint)) == 0


def final_images(place: Workplace, job_id: str) -> bytes:
    job = job_of(place.database, job_id)
    with place.database.reading() as session:
        newest = checkpoints_of(session, job)[0]
    assert newest.iteration == job.spec["iterations"]
    tensors = load_file(place.path(newest.blob_key))
    return tensors["images_NCHW"].numpy().tobytes() + tensors["velocity_NCHW"].numpy().tobytes()


def test_a_drained_job_goes_on_elsewhere_as_if_undisturbed(embedded: Workplace) -> None:
    """Killed with -9 once, drained once, and finished: bit for bit the run that nobody disturbed."""
    wanted = {"iterations": 200, "evaluation": {"networks": 1, "epochs": 2, "baselines": []}}
    dataset_id = embedded.new_dataset()
    undisturbed, job_id = (embedded.new_job(dataset_id, **wanted) for _ in range(2))
    embedded.attempt(undisturbed)

    def drained() -> None:
        embedded.wait_for_event(job_id, "checkpoint")
        drain()

    embedded.attempt(job_id, meanwhile=drained)
    job = job_of(embedded.database, job_id)
    assert (job.state, job.phase, job.setbacks, job.lease_until) == ("queued", "condense", {}, None)
    assert 0 < job.iteration < 200
    last = events_of(embedded.database, job_id)[-1]
    assert last.data == {"reason": "the worker was stopped"}
    stopped_at = job.iteration
    with embedded.database.reading() as session:
        assert checkpoints_of(session, job)[0].iteration == stopped_at, "nothing is computed twice"

    from worker import app

    app._draining[0] = 0  # another worker
    embedded.attempt(job_id)
    job = job_of(embedded.database, job_id)
    assert (job.state, job.phase, job.resumes) == ("queued", "export", 1)
    resumed = next(e for e in events_of(embedded.database, job_id) if e.type == "resumed")
    assert resumed.data == {"iteration": stopped_at}
    assert final_images(embedded, job_id) == final_images(embedded, undisturbed)
    with embedded.database.reading() as session:
        scores = select(Trial.method, Trial.accuracy).order_by(Trial.method)
        one, other = (session.execute(scores.where(Trial.job_id == of)) for of in (job_id, undisturbed))
        assert one.all() == other.all()


def test_a_paused_job_frees_its_device_and_goes_on_from_there(embedded: Workplace) -> None:
    job_id = embedded.new_job(iterations=ENDLESS)

    def meanwhile() -> None:
        embedded.wait_for_event(job_id, "checkpoint")
        with embedded.database.writing() as session:
            assert pause_job(session, session.get_one(Job, job_id)).state == "pausing"

    embedded.attempt(job_id, meanwhile=meanwhile)
    paused = job_of(embedded.database, job_id)
    assert (paused.state, paused.lease_until, paused.setbacks) == ("paused", None, {})
    assert runner_of(job_id) is None
    with embedded.database.reading() as session:
        assert checkpoints_of(session, paused)[0].iteration == paused.iteration > 0

    def again() -> None:
        embedded.wait_for_event(job_id, "resumed")
        with embedded.database.writing() as session:
            cancel_job(session, embedded.storage, session.get_one(Job, job_id))

    with embedded.database.writing() as session:
        assert resume_job(session, session.get_one(Job, job_id)).state == "queued"
    embedded.attempt(job_id, meanwhile=again)
    resumed = next(e for e in events_of(embedded.database, job_id) if e.type == "resumed")
    assert resumed.data == {"iteration": paused.iteration}


def test_a_job_that_does_not_react_to_a_cancel_is_killed(embedded: Workplace) -> None:
    job_id = embedded.new_job(iterations=ENDLESS)

    def meanwhile() -> None:
        embedded.wait_for_event(job_id, "checkpoint")
        pid = wait_for(lambda: runner_of(job_id))
        assert pid is not None
        with embedded.database.writing() as session:
            # As one that is stuck in a call of the driver; not while it holds SQLite's one lock.
            os.kill(pid, signal.SIGSTOP)
            cancel_job(session, embedded.storage, session.get_one(Job, job_id))

    embedded.attempt(job_id, meanwhile=meanwhile)
    assert job_of(embedded.database, job_id).state == "cancelled"
    assert runner_of(job_id) is None
    assert all("/snapshot-" in key for key in embedded.blobs_of(job_id))


def test_a_full_disk_sets_a_job_back_and_it_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not its fault: it keeps its last checkpoint, and goes on when there is room."""
    data_dir = tmp_path / "data"
    with small_disk(data_dir, 4), embedded_workplace(tmp_path, monkeypatch) as place:
        job_id = place.new_job(iterations=ENDLESS)

        def meanwhile() -> None:
            place.wait_for_event(job_id, "checkpoint")
            fill(data_dir)

        place.attempt(job_id, meanwhile=meanwhile)
        job = job_of(place.database, job_id)
        assert (job.state, job.setbacks) == ("queued", {"storage_full": 1})
        assert job.retry_at is not None
        assert events_of(place.database, job_id)[-1].data["wait_seconds"] == 15.0
        with place.database.reading() as session:
            newest = checkpoints_of(session, job)[0]
        with place.storage.local_file(newest.blob_key) as path:
            assert sha256_file(path) == newest.sha256
        (data_dir / "filler").unlink()

        def again() -> None:
            place.wait_for_event(job_id, "resumed")
            with place.database.writing() as session:
                cancel_job(session, place.storage, session.get_one(Job, job_id))

        with place.database.writing() as session:
            session.get_one(Job, job_id).retry_at = None
        place.attempt(job_id, meanwhile=again)
        assert job_of(place.database, job_id).state == "cancelled"


def test_an_attempt_whose_lease_is_taken_over_writes_nothing_more(embedded: Workplace) -> None:
    job_id = embedded.new_job(iterations=ENDLESS)
    seen: dict[str, int] = {}

    def meanwhile() -> None:
        embedded.wait_for_event(job_id, "checkpoint")
        with embedded.database.writing() as session:
            expire(session, Job, job_id)  # as if it had been frozen for a minute
            assert reap(session, embedded.storage, embedded.settings).requeued == 1
            session.expire_all()
        assert take(embedded.database, job_id).fence == 2
        seen["iteration"] = job_of(embedded.database, job_id).iteration

    embedded.attempt(job_id, meanwhile=meanwhile)
    job = job_of(embedded.database, job_id)
    assert (job.state, job.fence, job.worker) == ("running", 2, "host:1")
    assert job.lease_until is not None
    assert job.iteration == seen["iteration"]
    assert runner_of(job_id) is None
    events = event_types(embedded.database, job_id)
    assert events[-2:] == ["queued", "running"], "the new attempt's claim is the last event"
    with embedded.database.reading() as session:
        last_point = session.scalar(select(func.max(Metric.x)))
        known = {row.blob_key for row in checkpoints_of(session, job)}
    assert last_point is None or last_point <= seen["iteration"]
    assert known <= set(embedded.blobs_of(job_id)), "what the new attempt resumes from is untouched"
    assert checkpoint_key(job_id, 1, seen["iteration"]) in known | set(embedded.blobs_of(job_id))
