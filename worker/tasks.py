"""The task: a worker is woken, and one row after the other is claimed and worked on until none waits.

The work itself is done in a process of its own (worker/supervise.py).
"""

import os
import socket

import structlog

from core.db.session import get_database
from core.failpoints import reach
from core.settings import Settings, get_settings
from core.storage import get_storage
from core.work import wake_ups
from core.work.events import made_by
from core.work.leases import Lease, claim_next
from core.work.reaper import reap
from worker import schema
from worker.app import app, draining
from worker.slots import slot
from worker.supervise import supervise

log = structlog.get_logger(__name__)


@app.task(name=wake_ups.WORK)
def work(queue: str) -> None:
    work_through(queue)


def work_through(queue: str) -> None:
    """Work on what waits for a queue until nothing does, no slot is free, or the worker stops."""
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
    with get_database().writing() as session:
        if not schema.is_known(session):
            return None
        lease = claim_next(
            session,
            queue,
            worker=worker,
            seconds=settings.lease_seconds,
            running_limit=settings.owner_running_jobs,
        )
        return None if lease is None else (lease, made_by(session, lease))
