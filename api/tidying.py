"""What this machine's disk holds of uploads that will never be whole: nobody else can clear it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from core.catalogue.resumable import forget_expired
from core.db.session import Database
from core.errors import StorageUnavailable
from core.settings import Settings
from core.storage import Storage

log = structlog.get_logger(__name__)


@asynccontextmanager
async def tidying(app: FastAPI) -> AsyncIterator[None]:
    """Expired uploads are removed as long as the application runs."""
    state = app.state
    task = asyncio.create_task(_tidy_forever(state.settings, state.database, state.storage))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _tidy_forever(settings: Settings, database: Database, storage: Storage) -> None:
    while True:
        await asyncio.sleep(settings.reap_seconds)
        await run_in_threadpool(_tidy, settings, database, storage)


def _tidy(settings: Settings, database: Database, storage: Storage) -> None:
    try:
        forget_expired(database, storage, settings.upload_expiry_seconds)
        storage.forget_abandoned()
    except SQLAlchemyError as error:
        log.warning("not tidied: the database does not answer", error=str(error))
    except (OSError, StorageUnavailable) as error:
        log.warning("not tidied: the disk or the storage refuses", error=str(error))
