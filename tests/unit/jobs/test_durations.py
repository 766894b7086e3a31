"""Seconds by phase, from the events of a job that was disturbed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.db.models import Event
from core.db.session import Database
from core.jobs.durations import seconds_by_phase
from tests.support.databases import migrated_sqlite
from tests.support.leased import OWNER, add_job

START = datetime(2026, 1, 1, tzinfo=UTC)
#: Seconds after the start, type and data, after the first event, `queued`.
DISTURBED: list[tuple[float, str, dict[str, Any]]] = [
    (10, "running", {"attempt": 1}),
    (11, "estimate", {"micro_batch": 16}),
    (15, "progress", {"phase": "condense"}),
    # The worker dies, and its lease runs out.
    (75, "queued", {"reason": "silent", "cause": "worker_lost"}),
    (100, "running", {"attempt": 2}),
    (103, "resumed", {"iteration": 3}),
    (110, "phase", {"phase": "evaluate"}),
    (112, "progress", {"phase": "evaluate"}),
    (113, "queued", {"reason": "the worker was stopped"}),
    (200, "running", {"attempt": 3}),
    (220, "evaluated", {"method": "condensed"}),
    (221, "queued", {"phase": "export"}),
    (300, "running", {"attempt": 4}),
    (302, "queued", {"reason": "the worker was stopped"}),
]


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    url = migrated_sqlite(tmp_path)
    made = Database(url)
    yield made
    made.engine.dispose()


def seconds_of(database: Database, events: list[tuple[float, str, dict[str, Any]]]) -> dict[str, float]:
    with database.writing() as session:
        job, other = add_job(session), add_job(session)
        for subject, late in ((job, 0), (other, 1000)):
            session.add_all(
                Event(
                    subject_id=subject.id, seq=seq, owner=OWNER, type=kind, data=data,
                    created_at=START + timedelta(seconds=at + late * seq),
                )
                for seq, (at, kind, data) in enumerate(events, start=2)
            )  # fmt: skip
    with database.reading() as session:
        return seconds_by_phase(session, job, ["condense", "evaluate", "export"])


def test_every_attempt_counts_and_no_waiting(sqlite: Database) -> None:
    assert seconds_of(sqlite, DISTURBED) == {
        "condense": (15 - 10) + (110 - 100),
        "evaluate": (113 - 110) + (221 - 200),
        "export": 302 - 300,
    }


def test_an_attempt_at_work_counts_until_now(sqlite: Database) -> None:
    now = (datetime.now(UTC) - START).total_seconds()
    found = seconds_of(sqlite, [*DISTURBED, (now - 500, "running", {"attempt": 5})])
    assert found["export"] == pytest.approx(502, abs=60)
    assert found["condense"] == 15
