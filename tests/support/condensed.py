"""A job that is condensed and evaluated, and waits for its export: made once, copied as often as needed."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from sqlalchemy import select

from core.db.models import Checkpoint, Event, Job, Metric, Trial
from core.db.session import Database
from core.ids import new_id
from core.settings import Settings
from core.storage import Storage
from core.storage.local import LocalStorage
from tests.support.leased import take
from tests.support.workplace import Workplace
from worker import phases
from worker.attempt import Attempt

_SHORT = {"networks": 1, "epochs": 1, "whole_epochs": 1, "baselines": []}

_OF_A_JOB = (
    (Job, "id"),
    (Event, "subject_id"),
    (Trial, "job_id"),
    (Metric, "job_id"),
    (Checkpoint, "job_id"),
)


def next_attempt(database: Database, storage: Storage, settings: Settings, job_id: str) -> Attempt:
    """A claim that must succeed, and what its process works with."""
    return Attempt(lease=take(database, job_id), settings=settings, database=database, storage=storage)


def condensed_job(place: Workplace) -> str:
    """Really condensed and evaluated, in this process."""
    job_id = place.new_job(iterations=2, evaluation=_SHORT)
    with torch_as_it_was():
        phases.run(next_attempt(place.database, place.storage, place.settings, job_id))
    return job_id


def copy_of(place: Workplace, job_id: str) -> str:
    """Another job that has come as far as this one, with files of its own."""
    assert isinstance(place.storage, LocalStorage)
    fresh = new_id("job")
    with place.database.writing() as session:
        for model, column in _OF_A_JOB:
            for row in session.scalars(select(model).where(getattr(model, column) == job_id)).all():
                values = {one.key: getattr(row, one.key) for one in model.__table__.columns}
                values[column] = fresh
                if isinstance(row, Trial):
                    values["id"] = new_id("tr")
                if isinstance(row, Checkpoint):
                    values["blob_key"] = row.blob_key.replace(job_id, fresh)
                    with place.storage.scratch() as folder:
                        shutil.copyfile(place.storage.path(row.blob_key), folder / "copy")
                        place.storage.put(values["blob_key"], folder / "copy")
                session.add(model(**values))
            session.flush()
    return fresh


@contextmanager
def torch_as_it_was() -> Iterator[None]:
    """Afterwards: a runner's process ends, but this one goes on."""
    mode, threads = torch.get_deterministic_debug_mode(), torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
        torch.set_num_threads(threads)
