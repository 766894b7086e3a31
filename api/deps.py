"""What routes ask for."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, Header, Request
from sqlalchemy.orm import Session

from core.db.session import Database
from core.errors import Overloaded
from core.settings import Settings
from core.storage import Storage

#: Requests that may read from the database at a time. Each is a thread, and the more of them want the
#: interpreter, the longer waits the event loop, which has a thousand streams to serve.
READS_AT_ONCE = 4
#: Requests that may write at a time; not the same places, for who writes may wait for a lock of the database.
#: Together fewer than either pool has, SQLite's 15 and PostgreSQL's 30: a request keeps its connection while
#: it waits for its next thread, and if every thread waited for a connection meanwhile, nobody would get on.
WRITES_AT_ONCE = 8
#: For a request to be let in: when this process starts again, all its event streams come back at once.
WAIT_SECONDS = 30.0


@asynccontextmanager
async def _one_of(places: asyncio.Semaphore) -> AsyncIterator[None]:
    """Raises Overloaded: too many were before it."""
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            await places.acquire()
    except TimeoutError:
        raise Overloaded(
            f"the request waited {WAIT_SECONDS:g} seconds for the database, which is busy: try again"
        ) from None
    try:
        yield
    finally:
        places.release()


async def _may_read(request: Request) -> AsyncIterator[None]:
    async with _one_of(request.app.state.reads):
        yield


async def _may_write(request: Request) -> AsyncIterator[None]:
    async with _one_of(request.app.state.writes):
        yield


async def _reading(
    request: Request, _place: Annotated[None, Depends(_may_read, scope="function")]
) -> AsyncIterator[Session]:
    # Asynchronous, because it waits for nothing: the connection is taken by the first query, in the
    # endpoint's thread, and to give it back asks nothing of the database.
    database: Database = request.app.state.database
    with database.reading() as session:
        yield session


def _writing(
    request: Request, _place: Annotated[None, Depends(_may_write, scope="function")]
) -> Iterator[Session]:
    database: Database = request.app.state.database
    with database.writing() as session:
        yield session


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def _storage(request: Request) -> Storage:
    storage: Storage = request.app.state.storage
    return storage


async def not_draining(request: Request) -> None:
    """For what may take longer than the server still has.

    Raises:
        Overloaded
    """
    if request.app.state.draining:
        raise Overloaded("the server is shutting down: repeat the request in a moment", code="shutting_down")


async def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


ReadSession = Annotated[Session, Depends(_reading, scope="function")]
#: Commits when the endpoint returns, before the answer is sent: a 201 is never a lie.
WriteSession = Annotated[Session, Depends(_writing, scope="function")]
AppSettings = Annotated[Settings, Depends(_settings)]
#: For transactions that do not last as long as the request.
AppDatabase = Annotated[Database, Depends(_database)]
AppStorage = Annotated[Storage, Depends(_storage)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        description="Any text, unique per request: repeating the request with it makes nothing new.",
    ),
]
