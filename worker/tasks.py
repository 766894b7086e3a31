"""The tasks: a doorbell rings, a row is claimed, a process of its own does the work."""

import os
import socket

import structlog

from core.db.models import Dataset, Job
from core.db.session import get_database
from core.jobs import queue
from core.jobs.reaper import reap
from core.jobs.transitions import Leased
from core.settings import get_settings
from core.storage.local import get_storage
from worker.app import app
from worker.lease import claim
from worker.supervise import supervise

log = structlog.get_logger(__name__)


@app.task(name=queue.INGEST)
def ingest(row_id: str, fence: int) -> None:
    """Make a data set from its upload."""
    _attempt(Dataset, row_id, fence, ())


@app.task(name=queue.CONDENSE)
def condense(row_id: str, fence: int) -> None:
    """Condense, then evaluate."""
    _attempt(Job, row_id, fence, ("condense", "evaluate"))


@app.task(name=queue.EXPORT)
def export(row_id: str, fence: int) -> None:
    """Write the artifacts and publish."""
    _attempt(Job, row_id, fence, ("export",))


def _attempt(model: Leased, row_id: str, fence: int, phases: tuple[str, ...]) -> None:
    settings, database, storage = get_settings(), get_database(), get_storage()
    worker = f"{socket.gethostname()}:{os.getpid()}"
    with database.writing() as session:
        lease = claim(
            session, model, row_id, fence, worker=worker, seconds=settings.lease_seconds, phases=phases
        )
    if lease is None:
        log.info("nothing to claim", row=row_id, fence=fence)
        return
    with structlog.contextvars.bound_contextvars(row=row_id, attempt=lease.fence):
        supervise(lease, settings, database, storage)
    # Whoever finishes a row looks for the next: a lost wake-up then costs no waiting.
    with database.writing() as session:
        reap(session, storage, settings)
