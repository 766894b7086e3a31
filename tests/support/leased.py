"""Rows that workers work on, and what became of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.db.models import Dataset, Event, Job
from core.db.session import Database
from core.db.types import db_now
from core.ids import new_id
from core.jobs import queue
from core.jobs.spec import JobSpec
from core.jobs.transitions import Leased, find, first_event
from core.settings import Settings, get_settings
from worker.lease import Lease, claim

OWNER = "local"
WORKER = "host:1"

#: A network and a schedule that a laptop trains in a moment.
TINY: dict[str, Any] = {
    "ipc": 1,
    "iterations": 20,
    "batch_real": 8,
    "network": {"width": 4},
    "evaluation": {"networks": 1, "epochs": 2, "whole_epochs": 2},
}


@contextmanager
def process_settings(monkeypatch: pytest.MonkeyPatch, **values: object) -> Iterator[Settings]:
    """Settings of this process and of those that it starts, by the environment as ever."""
    for name, value in values.items():
        monkeypatch.setenv(f"CONDENSERY_{name.upper()}", str(value))
    get_settings.cache_clear()
    monkeypatch.setattr(queue, "_producer", None)  # made from the settings of an earlier test
    yield get_settings()
    get_settings.cache_clear()


def add_job(session: Session, *, spec: JobSpec | None = None, **values: Any) -> Job:
    resolved = (spec or JobSpec.model_validate(TINY)).resolved(16, 50_000, 10).model_dump(mode="json")
    defaults: dict[str, Any] = {
        "id": new_id("job"),
        "owner": OWNER,
        "data_hash": "0" * 64,
        "spec": resolved,
        "state": "queued",
        "phase": "condense",
        "fence": 0,
    }
    job = Job(**(defaults | values))
    session.add(job)
    first_event(session, job, {})
    session.flush()
    return job


def add_dataset(session: Session, **values: Any) -> Dataset:
    defaults: dict[str, Any] = {
        "id": new_id("ds"),
        "owner": OWNER,
        "name": "tiny",
        "state": "ingesting",
        "fence": 0,
    }
    dataset = Dataset(**(defaults | values))
    session.add(dataset)
    first_event(session, dataset, {})
    session.flush()
    return dataset


def new_row(database: Database, model: Leased, **values: Any) -> str:
    """The id of a new row, committed."""
    with database.writing() as session:
        added = add_job(session, **values) if model is Job else add_dataset(session, **values)
        return added.id


def take(database: Database, row_id: str, model: Leased = Job, *, seconds: float = 60) -> Lease:
    """A claim that must succeed, of a job in whatever phase."""
    with database.writing() as session:
        row = find(session, model, row_id)
        assert row is not None
        phases = ("condense", "evaluate", "export")
        lease = claim(session, model, row_id, row.fence, worker=WORKER, seconds=seconds, phases=phases)
    assert lease is not None
    return lease


def expire(session: Session, model: Leased, row_id: str) -> None:
    """As if its worker had been silent for longer than its lease."""
    session.execute(update(model).where(model.id == row_id).values(lease_until=db_now(-1)))


def job_of(database: Database, row_id: str) -> Job:
    with database.reading() as session:
        return session.get_one(Job, row_id)


def dataset_of(database: Database, row_id: str) -> Dataset:
    with database.reading() as session:
        return session.get_one(Dataset, row_id)


def events_of(database: Database, row_id: str) -> list[Event]:
    with database.reading() as session:
        return list(session.scalars(select(Event).where(Event.subject_id == row_id).order_by(Event.seq)))


def event_types(database: Database, row_id: str) -> list[str]:
    return [event.type for event in events_of(database, row_id)]
