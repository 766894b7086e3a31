"""One table of transitions, guarded updates, and an event for each, on both databases."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from core.db.models import Dataset, Event, Job
from core.db.session import Database, after_commit
from core.db.types import db_now
from core.vocabulary import (
    DATASET_STATES,
    DATASET_TRANSITIONS,
    JOB_HELD,
    JOB_STATES,
    JOB_TERMINAL,
    JOB_TRANSITIONS,
)
from core.work.transitions import Leased, move, record
from tests.support.leased import (
    add_dataset,
    add_job,
    dataset_of,
    event_types,
    events_of,
    job_of,
    new_row,
    take,
)

HELD: dict[Leased, tuple[str, ...]] = {Job: JOB_HELD, Dataset: ("ingesting",)}
READ: dict[Leased, Callable[[Database, str], Job | Dataset]] = {Job: job_of, Dataset: dataset_of}
HELD_NOW: dict[str, Any] = {"lease_until": db_now(60), "worker": "host:1"}
PAIRS: list[tuple[Leased, str, str]] = [
    (model, source, target)
    for model, states in ((Job, JOB_STATES), (Dataset, DATASET_STATES))
    for source in states
    for target in states
]


def allowed(model: Leased, source: str, target: str) -> bool:
    return target in (JOB_TRANSITIONS if model is Job else DATASET_TRANSITIONS)[source]


def test_the_table_is_the_one_that_was_agreed() -> None:
    """Spelled out, so that a change of the table is a decision and not a slip."""
    edges = {(a, b) for a, after in (JOB_TRANSITIONS | DATASET_TRANSITIONS).items() for b in after}
    assert edges == {
        *(("queued", b) for b in ("running", "paused", "cancelled", "failed")),
        *(("running", b) for b in ("queued", "pausing", "cancelling", "succeeded", "failed")),
        *(("pausing", b) for b in ("paused", "cancelling", "succeeded", "failed")),
        *(("paused", b) for b in ("queued", "cancelled")),
        *(("cancelling", b) for b in ("cancelled", "failed")),
        *(("receiving", b) for b in ("ingesting", "invalid")),
        *(("ingesting", b) for b in ("ready", "invalid")),
    }
    assert set(JOB_TERMINAL) == {"cancelled", "succeeded", "failed"}
    assert set(JOB_TRANSITIONS) == set(JOB_STATES) and set(DATASET_TRANSITIONS) == set(DATASET_STATES)


@pytest.fixture
def every_pair(database: Database) -> dict[tuple[Leased, str, str], str]:
    """A row in the source state for every pair of states; held ones with a lease."""
    made: dict[tuple[Leased, str, str], str] = {}
    with database.writing() as session:
        for model, source, target in PAIRS:
            held = HELD_NOW if source in HELD[model] else {}
            row = (
                add_job(session, state=source, **held)
                if model is Job
                else add_dataset(session, state=source, **held)
            )
            made[model, source, target] = row.id
    return made


def test_every_pair_of_states(database: Database, every_pair: dict[tuple[Leased, str, str], str]) -> None:
    """Allowed: state, event, lease and times follow. Forbidden: nothing at all changes."""
    for (model, source, target), row_id in every_pair.items():
        pair = f"{model.__name__}: {source} to {target}"
        before = vars(READ[model](database, row_id)).copy()
        with database.writing() as session:
            moved = move(session, model, row_id, target, data={"why": "test"})
        after = READ[model](database, row_id)
        assert moved == allowed(model, source, target), pair
        if not moved:
            unchanged = {k: v for k, v in vars(after).items() if not k.startswith("_")}
            assert unchanged == {k: v for k, v in before.items() if not k.startswith("_")}, pair
            assert event_types(database, row_id) == [source], pair
            continue
        assert after.state == target, pair
        assert [(e.seq, e.type) for e in events_of(database, row_id)] == [(1, source), (2, target)], pair
        assert events_of(database, row_id)[1].data == {"why": "test"}, pair
        assert after.event_seq == 2, pair
        terminal = not (JOB_TRANSITIONS if model is Job else DATASET_TRANSITIONS)[target]
        assert (after.finished_at is not None) == terminal, pair
        if target not in HELD[model]:
            assert after.lease_until is None and after.worker is None, pair
        elif source in HELD[model]:
            assert after.lease_until is not None and after.worker == "host:1", pair


def test_guards_decide_with_the_table(database: Database) -> None:
    job_id = new_row(database, Job)
    with database.writing() as session:
        assert not move(session, Job, job_id, "running", Job.fence == 7)
        assert not move(session, Job, "job_unknown", "running")
        assert not record(session, Job, job_id, "note", {}, Job.fence == 7, iteration=9)
    assert job_of(database, job_id).iteration == 0
    assert event_types(database, job_id) == ["queued"]


def test_events_have_no_gap_and_no_double_under_racing_writers(database: Database) -> None:
    job_id = new_row(database, Job)
    take(database, job_id)

    def write(thread: int) -> None:
        for number in range(10):
            with database.writing() as session:
                assert record(session, Job, job_id, "note", {"thread": thread, "number": number})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    events = events_of(database, job_id)
    assert [event.seq for event in events] == list(range(1, 2 + 80 + 1))
    assert job_of(database, job_id).event_seq == 82
    for thread in range(8):
        mine = [event.data["number"] for event in events if event.data.get("thread") == thread]
        assert mine == list(range(10))


def test_racing_transitions_have_one_winner_each(database: Database) -> None:
    """A cancel and a failure and a success meet: whoever is first decides, for good."""
    rows = [new_row(database, Job) for _ in range(10)]
    for row in rows:
        take(database, row)

    def finish(target: str) -> list[str]:
        won = []
        for row in rows:
            with database.writing() as session:
                if move(session, Job, row, target):
                    won.append(row)
        return won

    with ThreadPoolExecutor(4) as pool:
        wins = list(pool.map(finish, ["succeeded", "failed", "succeeded", "failed"]))
    assert sorted(row for won in wins for row in won) == sorted(rows)
    for row in rows:
        assert len(event_types(database, row)) == 3
        assert job_of(database, row).state == event_types(database, row)[-1]


def test_a_rollback_leaves_neither_state_nor_event_nor_hook(database: Database) -> None:
    job_id = new_row(database, Job)
    called: list[str] = []
    with pytest.raises(RuntimeError, match="changed my mind"), database.writing() as session:
        assert move(session, Job, job_id, "cancelled")
        after_commit(session, lambda: called.append("rolled back"))
        raise RuntimeError("changed my mind")
    assert job_of(database, job_id).state == "queued"
    assert event_types(database, job_id) == ["queued"]
    assert called == []


def test_hooks_run_in_order_and_see_what_was_committed(database: Database) -> None:
    job_id = new_row(database, Job)
    called: list[str] = []
    with database.writing() as session:
        move(session, Job, job_id, "cancelled")
        after_commit(session, lambda: called.append(job_of(database, job_id).state))
        after_commit(session, lambda: called.append("second"))
        assert called == []
    assert called == ["cancelled", "second"]


def test_a_commit_that_fails_runs_no_hook(database: Database) -> None:
    job_id = new_row(database, Job)
    called: list[str] = []
    with pytest.raises(Exception, match=r"(?i)unique"), database.writing() as session:
        session.add(Event(subject_id=job_id, seq=1, owner="local", type="double", data={}))
        after_commit(session, lambda: called.append("never"))
    assert called == []
    assert event_types(database, job_id) == ["queued"]
