"""`python -m worker.runner job|trial|dataset|condensed-set ID FENCE PARENT`: an attempt's work.

torch and CUDA live and die with this process of its own, so the device is free when it is gone. Whatever it
finds out it writes under its fence; if it dies, its supervisor (worker/supervise.py) settles the row.
"""

import gc
import os
import sys
from importlib import import_module

import structlog
from sqlalchemy.exc import DBAPIError

from core import logs
from core.db.models import Job, Trial
from core.db.session import get_database, is_unavailable
from core.errors import CondenseryError, DataError, JobError, LeaseLost, StorageFull, StorageUnavailable
from core.processes import die_with_parent
from core.settings import get_settings
from core.storage import get_storage
from core.work.events import made_by
from core.work.files import keep_only_published
from core.work.leases import Lease
from core.work.reaper import release, wait_again
from core.work.retries import Cause
from core.work.transitions import held_by, hold, move
from worker.attempt import Attempt, StopRequested
from worker.runner_environment import EX_DATABASE_AWAY

log = structlog.get_logger(__name__)

#: The module whose `run` does the work, loaded when there is some: torch is not for everybody.
DOES = {
    "job": "worker.phases",
    "trial": "worker.trial",
    "dataset": "worker.ingesting",
    "condensed-set": "worker.condensed_sets",
}


def main(noun: str, row_id: str, fence: int, parent: int) -> int:
    die_with_parent(parent)
    os.umask(0o077)
    settings = get_settings()
    logs.configure(settings, process="runner")
    structlog.contextvars.bind_contextvars(row=row_id, attempt=fence)
    lease = Lease.of(noun, row_id, fence)
    attempt = Attempt(lease=lease, settings=settings, database=get_database(), storage=get_storage())
    attempt.listen()
    try:
        with attempt.database.reading() as session:
            structlog.contextvars.bind_contextvars(**made_by(session, lease))
        _run(attempt)
    except LeaseLost as error:
        log.warning("gave up", detail=error.detail)
    except DBAPIError as error:
        if not is_unavailable(error):
            raise
        log.warning("gave up: the database is away", error=str(error.orig))
        return EX_DATABASE_AWAY
    return 0


def _run(attempt: Attempt) -> None:
    try:
        _work(attempt)
    except StopRequested:
        _stopped(attempt)
    except (DataError, JobError) as error:
        _failed(attempt, error)
    except StorageFull as error:
        _retry(attempt, "storage_full", error)
    except StorageUnavailable as error:
        _retry(attempt, "storage_unavailable", error)


def _work(attempt: Attempt) -> None:
    # Loading torch makes many objects, and all of them stay: to look among them for garbage, again and again,
    # takes an eighth of the time of a start.
    gc.disable()
    module = import_module(DOES[attempt.lease.noun])
    gc.freeze()
    gc.enable()
    module.run(attempt)


def _stopped(attempt: Attempt) -> None:
    """As its owner asked: cancelled, nothing left behind, or paused; else the worker is being stopped."""
    mine = held_by(attempt.lease.model, attempt.lease.fence)
    with attempt.writing() as session:
        row = attempt.row(session)
        if row.state == "cancelling":
            if move(session, Job, row.id, "cancelled", *mine):
                keep_only_published(session, attempt.storage, row.id)
        elif row.state == "pausing":
            move(session, Job, row.id, "paused", *mine)
        else:
            wait_again(session, row, *mine, data={"reason": "the worker was stopped"}, dispatched_at=None)
    log.info("stopped on request")


def _retry(attempt: Attempt, cause: Cause, error: CondenseryError) -> None:
    """Not the row's fault: try again later."""
    log.warning("to be tried again", code=error.code, detail=error.detail)
    with attempt.writing() as session:
        # What release compares must not be renewed in between.
        hold(session, attempt.lease.model, attempt.lease.row_id)
        release(session, attempt.storage, attempt.row(session), attempt.settings, cause, error.detail)


def _failed(attempt: Attempt, error: CondenseryError) -> None:
    lease, mine = attempt.lease, held_by(attempt.lease.model, attempt.lease.fence)
    log.warning("failed", code=error.code, detail=error.detail)
    with attempt.writing() as session:
        if lease.model is Trial:
            # An attempt at its job meets the same, and the job fails by that.
            wait_again(session, attempt.row(session), *mine, data={}, problem=error.as_dict())
            return
        target = "failed" if lease.model is Job else "invalid"
        move(session, lease.model, lease.row_id, target, *mine, data=error.as_dict(), problem=error.as_dict())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
