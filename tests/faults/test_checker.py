"""The checker sees what must not be: of trials and condensed sets, one thing at a time is put wrong."""

from collections.abc import Callable

import pytest
from sqlalchemy import delete, select, update

from core.db.models import Artifact, CondensedSet, Event, Job, Trial
from core.db.types import db_now
from core.kinds.condense.spec import CondenseSpec
from core.work.transitions import record
from tests.faults.checker import violations
from tests.faults.evidence import Evidence
from tests.support.leased import TINY, add_job, done_trial
from tests.support.sets import add_reading, add_set
from tests.support.workplace import Workplace

pytestmark = pytest.mark.one_database

Wrong = Callable[[Workplace], object]


def add_finished_job(place: Workplace, accuracy: float = 0.5) -> None:
    """Two networks, each with a result and an event of it; the set that it made was deleted."""
    evaluation = {"networks": 1, "epochs": 1, "baselines": []}
    spec = CondenseSpec.model_validate(TINY | {"evaluation": evaluation})
    with place.database.writing() as session:
        job = add_job(session, spec=spec, state="succeeded", finished_at=db_now())
        for method in ("condensed", "png"):
            trial = done_trial(job.id, method, accuracy=accuracy)
            session.add(trial)
            about = {name: getattr(trial, name) for name in ("method", "network", "repeat", "accuracy")}
            record(session, Job, job.id, "evaluated", about)


def of_one_trial(**values: object) -> Wrong:
    def put_wrong(place: Workplace) -> None:
        with place.database.writing() as session:
            session.execute(update(Trial).where(Trial.method == "png").values(**values))

    return put_wrong


def an_event_twice(place: Workplace) -> None:
    with place.database.writing() as session:
        told = session.scalars(select(Event).where(Event.type == "evaluated")).first()
        assert told is not None
        record(session, Job, told.subject_id, "evaluated", told.data)


def one_network_less(place: Workplace) -> None:
    with place.database.writing() as session:
        session.execute(delete(Trial).where(Trial.method == "png"))


def a_row_less(place: Workplace) -> None:
    with place.database.writing() as session:
        session.execute(delete(Artifact).where(Artifact.format == "preview"))


def no_row_left(place: Workplace) -> None:
    with place.database.writing() as session:
        session.execute(delete(Artifact))


def a_file_less(place: Workplace) -> None:
    with place.database.reading() as session:
        key = session.scalars(select(Artifact.blob_key).where(Artifact.format == "preview")).one()
    place.path(key).unlink()


def two_attempts(place: Workplace) -> None:
    with place.database.writing() as session:
        session.execute(update(Artifact).where(Artifact.format == "preview").values(fence=2))


def an_event_less(place: Workplace) -> None:
    with place.database.writing() as session:
        session.execute(update(CondensedSet).values(event_seq=1))


@pytest.fixture
def made(bench: Workplace) -> Workplace:
    add_finished_job(bench)
    add_finished_job(bench)
    add_set(bench.database, bench.storage)
    return bench


def test_what_is_right_is_let_pass(made: Workplace, evidence: Evidence) -> None:
    assert violations(evidence) == []


@pytest.mark.parametrize(
    ("put_wrong", "says"),
    [
        pytest.param(
            of_one_trial(lease_until=db_now(), worker="host:1"), "still leased by host:1", id="lease"
        ),
        pytest.param(of_one_trial(state="running"), "running in nobody's hands", id="hands"),
        pytest.param(of_one_trial(state="waiting"), "succeeded without the trials", id="unfinished"),
        pytest.param(of_one_trial(accuracy=0.75), "and events of", id="another result than was told"),
        pytest.param(an_event_twice, "and events of", id="counted twice"),
        pytest.param(one_network_less, "2 were asked for", id="fewer than asked for"),
        pytest.param(lambda place: add_finished_job(place, 0.25), "of the same images", id="disagreement"),
        pytest.param(a_row_less, "belongs to nothing", id="file without row"),
        pytest.param(no_row_left, "is ready and offers 0 artifacts", id="nothing offered"),
        pytest.param(a_file_less, "is gone", id="row without file"),
        pytest.param(two_attempts, "artifacts of several attempts", id="two attempts"),
        pytest.param(lambda place: add_reading(place.database), "is stuck in reading", id="stuck"),
        pytest.param(an_event_less, "has the events [] of 1", id="history"),
    ],
)
def test_what_is_wrong_is_said(made: Workplace, evidence: Evidence, put_wrong: Wrong, says: str) -> None:
    put_wrong(made)
    assert any(says in one for one in violations(evidence)), violations(evidence)
