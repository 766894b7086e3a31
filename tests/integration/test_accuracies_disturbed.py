"""Images evaluated on the way in real processes, which are killed, paused and cancelled at it."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db.models import Artifact, Job, Trial
from core.jobs.control import cancel_job, pause_job, resume_job
from core.trials.results import CURVE, FINAL, done_trials
from tests.support.leased import event_types, events_of, job_of
from tests.support.processes import runner_of, wait_for
from tests.support.workplace import Workplace, embedded_workplace


def rows_of(place: Workplace, job_id: str) -> list[Trial]:
    with place.database.reading() as session:
        return done_trials(session, session.get_one(Job, job_id), CURVE)


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    with embedded_workplace(tmp_path, monkeypatch) as made:
        yield made


def test_killed_in_the_middle_the_files_hold_the_same_pixels(embedded: Workplace) -> None:
    long = {"networks": 2, "epochs": 120, "baselines": []}
    dataset_id = embedded.new_dataset()
    plain, killed = (
        embedded.new_job(dataset_id, iterations=9, evaluation={**long, "points": points}) for points in (0, 2)
    )

    def between_two_networks() -> None:
        wait_for(lambda: rows_of(embedded, killed))
        pid = runner_of(killed)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    embedded.attempt(killed, meanwhile=between_two_networks)
    before = rows_of(embedded, killed)
    assert 1 <= len(before) < 4, "in the middle of it"
    for job_id in (plain, killed):
        for _phase in ("condense and evaluate", "export"):
            embedded.attempt(job_id)
        assert job_of(embedded.database, job_id).state == "succeeded"
    rows = rows_of(embedded, killed)
    assert [(row.step, row.repeat) for row in rows] == [(3, 0), (3, 1), (6, 0), (6, 1)]
    assert [row.created_at for row in rows[: len(before)]] == [row.created_at for row in before]
    assert rows[-1].fence == 2
    assert event_types(embedded.database, killed).count("accuracy") == 4
    assert rows_of(embedded, plain) == []
    with embedded.database.reading() as session:
        keys = [
            session.scalars(
                select(Artifact.blob_key).where(Artifact.job_id == job_id, Artifact.format == "safetensors")
            ).one()
            for job_id in (plain, killed)
        ]
        scores = [
            [
                (one.method, one.repeat, one.accuracy)
                for one in done_trials(session, session.get_one(Job, job_id), FINAL)
            ]
            for job_id in (plain, killed)
        ]
    one, other = (load_file(embedded.path(key)) for key in keys)
    assert one.keys() == other.keys()
    assert all(one[name].numpy().tobytes() == other[name].numpy().tobytes() for name in one)
    assert scores[0] == scores[1]


def test_a_pause_and_a_cancel_are_heeded_at_once(embedded: Workplace) -> None:
    """Within a training that would take an hour."""
    endless = {"networks": 1, "epochs": 100_000, "baselines": [], "points": 1}
    job_id = embedded.new_job(iterations=4, evaluation=endless)

    def once_it_evaluates(ask: Callable[[Session, Job], object], after: int) -> None:
        def evaluates() -> bool:
            events = events_of(embedded.database, job_id)
            return any(event.seq > after and "evaluating" in event.data for event in events)

        wait_for(evaluates)
        with embedded.database.writing() as session:
            ask(session, session.get_one(Job, job_id))

    embedded.attempt(job_id, meanwhile=lambda: once_it_evaluates(pause_job, 0))
    paused = job_of(embedded.database, job_id)
    assert (paused.state, paused.phase, paused.iteration) == ("paused", "condense", 2)
    with embedded.database.writing() as session:
        resume_job(session, session.get_one(Job, job_id))

    def cancel(session: Session, job: Job) -> None:
        cancel_job(session, embedded.storage, job)

    embedded.attempt(job_id, meanwhile=lambda: once_it_evaluates(cancel, paused.event_seq))
    assert job_of(embedded.database, job_id).state == "cancelled"
    assert [one.data for one in events_of(embedded.database, job_id) if one.type == "resumed"] == [
        {"iteration": 2}
    ]
    assert rows_of(embedded, job_id) == []
