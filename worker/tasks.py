"""The task: a doorbell rings, and a row after the other is claimed and worked on until none waits.

The work itself is done in a process of its own (worker/supervise.py).
"""

import os
import socket

import structlog

from core.db.models import Dataset, Job
from core.db.session import get_database
from core.failpoints import reach
from core.jobs import queue
from core.jobs.reaper import reap
from core.jobs.states import phases_of
from core.jobs.transitions import Leased, made_by
from core.settings import Settings, get_settings
from core.storage import get_storage
from worker import schema
from worker.app import app, draining
from worker.lease import Lease, claim_next
from worker.slots import slot
from worker.supervise import supervise

log = structlog.get_logger(__name__)

#: What each queue serves, in the order in which it looks: an export finishes a job.
_SERVES: dict[str, tuple[Leased, ...]] = {"cpu": (Job, Dataset), "gpu": (Job,)}


@app.task(name=queue.WORK)
def work(queue: str) -> None:
    work_through(queue)


def work_through(queue: str) -> None:
    """Work on what waits in a queue's line until nothing does, no slot is free, or the worker stops."""
    settings, database, storage = get_settings(), get_database(), get_storage()
    with slot(queue, settings) as free:
        if not free:
            return
        while not draining():
            claimed = _next(queue, settings)
            if claimed is None:
                return
            lease, known = claimed
            reach("claim.committed")
            with structlog.contextvars.bound_contextvars(row=lease.row_id, attempt=lease.fence, **known):
                supervise(lease, settings, database, storage)
            with database.writing() as session:
                if schema.is_known(session):
                    reap(session, storage, settings)


def _next(queue: str, settings: Settings) -> tuple[Lease, dict[str, str]] | None:
    """The row to be worked on next, claimed, and which request made it."""
    worker = f"{socket.gethostname()}:{os.getpid()}"
    for model in _SERVES[queue]:
        with get_database().writing() as session:
            if not schema.is_known(session):
                return None
            lease = claim_next(
                session,
                model,
                worker=worker,
                seconds=settings.lease_seconds,
                phases=phases_of(queue),
                running_limit=settings.owner_running_jobs,
            )
            if lease is not None:
                return lease, made_by(session, lease.row_id)
    return None
