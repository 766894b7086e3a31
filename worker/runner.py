"""`python -m worker.runner job|dataset ID FENCE PARENT`: an attempt's work, in a process of its own.

torch and CUDA live and die with this process, so the device is free when it is gone. Whatever it
finds out it writes under its fence; if it dies, its supervisor (worker/supervise.py) settles the row.
"""

import os
import sys

import structlog

from core import logs
from core.db.models import Dataset, Job
from core.db.session import get_database
from core.errors import CondenseryError, DataError, JobError, LeaseLost
from core.jobs.files import keep_only_published
from core.jobs.transitions import held_by, move, record
from core.processes import die_with_parent
from core.settings import get_settings
from core.storage.local import get_storage
from worker.attempt import Attempt, StopRequested
from worker.lease import Lease

log = structlog.get_logger(__name__)


def main(kind: str, row_id: str, fence: int, parent: int) -> None:
    die_with_parent(parent)
    os.umask(0o077)
    settings = get_settings()
    logs.configure(settings, process="runner", row=row_id, attempt=str(fence))
    lease = Lease(model=Dataset if kind == "dataset" else Job, row_id=row_id, fence=fence)
    attempt = Attempt(lease=lease, settings=settings, database=get_database(), storage=get_storage())
    attempt.listen()
    try:
        _run(attempt)
    except LeaseLost as error:
        log.warning("gave up", detail=error.detail)


def _run(attempt: Attempt) -> None:
    try:
        if attempt.lease.model is Dataset:
            _ingest(attempt)
        else:
            _work(attempt)
    except StopRequested:
        _stopped(attempt)
    except (DataError, JobError) as error:
        _failed(attempt, error)


def _ingest(attempt: Attempt) -> None:
    from worker import ingesting

    ingesting.run(attempt)


def _work(attempt: Attempt) -> None:
    from worker import phases

    phases.run(attempt)


def _stopped(attempt: Attempt) -> None:
    """Cancelled: nothing is left behind. Otherwise the worker is being stopped: wait for another."""
    lease, mine = attempt.lease, held_by(attempt.lease.model, attempt.lease.fence)
    data = {"reason": "the worker was stopped"}
    with attempt.writing() as session:
        row = attempt.row(session)
        if lease.model is Dataset:
            record(
                session, Dataset, row.id, "requeued", data, *mine,
                lease_until=None, worker=None, dispatched_at=None,
            )  # fmt: skip
        elif row.state == "cancelling":
            if move(session, Job, row.id, "cancelled", *mine):
                keep_only_published(session, attempt.storage, row.id)
        else:
            move(session, Job, row.id, "queued", *mine, data=data, dispatched_at=None)
    log.info("stopped on request")


def _failed(attempt: Attempt, error: CondenseryError) -> None:
    lease, mine = attempt.lease, held_by(attempt.lease.model, attempt.lease.fence)
    log.warning("failed", code=error.code, detail=error.detail)
    target = "invalid" if lease.model is Dataset else "failed"
    with attempt.writing() as session:
        move(session, lease.model, lease.row_id, target, *mine, data=error.as_dict(), problem=error.as_dict())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
