"""Rows that workers work on, and what became of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.db.models import Dataset, Event, Job, Trial
from core.db.session import Database
from core.db.types import db_now
from core.ids import new_id
from core.kinds.condense import CONDENSE
from core.kinds.condense.spec import CondenseSpec
from core.settings import Settings, get_settings
from core.trials.results import CURVE, FINAL
from core.trials.spec import OLD_PROTOCOL
from core.work import wake_ups
from core.work.events import first_event
from core.work.leases import Lease, claim
from core.work.transitions import Leased, find

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
    monkeypatch.setattr(wake_ups, "_producer", None)  # made from the settings of an earlier test
    yield get_settings()
    get_settings.cache_clear()


def add_job(session: Session, *, spec: CondenseSpec | None = None, **values: Any) -> Job:
    resolved = (spec or CondenseSpec.model_validate(TINY)).resolved(16, 50_000, 10).model_dump(mode="json")
    defaults: dict[str, Any] = {
        "id": new_id("job"),
        "owner": OWNER,
        "data_hash": "0" * 64,
        "spec": resolved,
        "state": "queued",
        "phase": "condense",
        "fence": 0,
    }
    asked = defaults | values
    job = Job(**{"queue": CONDENSE.phase(asked["phase"]).queue} | asked)
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
    """A claim that must succeed, of a row that waits for whatever queue."""
    with database.writing() as session:
        row = find(session, model, row_id)
        assert row is not None
        queue = wake_ups.queue_of(row)
        lease = claim(session, model, row_id, row.fence, worker=WORKER, seconds=seconds, queue=queue)
    assert lease is not None
    return lease


def expire(session: Session, model: Leased, row_id: str) -> None:
    """As if its worker had been silent for longer than its lease."""
    session.execute(update(model).where(model.id == row_id).values(lease_until=db_now(-1)))


def done_trial(job_id: str, method: str = "condensed", repeat: int = 0, **values: Any) -> Trial:
    """A network that is trained and tested."""
    defaults: dict[str, Any] = {
        "id": new_id("tr"),
        "owner": OWNER,
        "job_id": job_id,
        "group": FINAL,
        "step": 0,
        "method": method,
        "network": "convnet-d3-w128-instance",
        "protocol": OLD_PROTOCOL,
        "repeat": repeat,
        "state": "done",
        "fence": 1,
        "epochs": 1,
        "train_images": 2,
        "accuracy": 0.5,
        "per_class": [0.5, None],
        "confusion": [[1, 1], [0, 0]],
        "seconds": 1.0,
    }
    return Trial(**(defaults | values))


def waiting_trial(job: Job, repeat: int = 0, **values: Any) -> Trial:
    """A network that nobody has begun; its turn is that of its number."""
    nothing: dict[str, Any] = dict.fromkeys(
        ("accuracy", "seconds", "epochs", "train_images", "per_class", "confusion")
    )
    fresh = {"owner": job.owner, "state": "waiting", "fence": 0, "position": repeat}
    return done_trial(job.id, repeat=repeat, **(nothing | fresh | values))


def point(job_id: str, step: int, repeat: int = 0, **values: Any) -> Trial:
    """A network trained on the images after so many iterations."""
    nothing: dict[str, Any] = dict.fromkeys(("epochs", "train_images", "per_class", "confusion"))
    return done_trial(job_id, repeat=repeat, group=CURVE, step=step, **(nothing | values))


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
