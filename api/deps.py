"""What routes ask for."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

from fastapi import Depends, Header, Request
from sqlalchemy.orm import Session

from core.db.session import Database
from core.errors import Overloaded
from core.settings import Settings
from core.storage import Storage

#: Requests that may have a connection to the database at a time. Fewer than either pool has, SQLite's 15
#: and PostgreSQL's 30: a request keeps its connection while it waits for its next thread, and if every
#: thread waited for a connection meanwhile, nobody would get on.
SESSIONS_AT_ONCE = 10
#: For a request to be let in: when this process starts again, all its event streams come back at once.
PATIENCE_SECONDS = 30.0


async def _admitted(request: Request) -> AsyncIterator[None]:
    """Raises Overloaded: too many were before it."""
    places: asyncio.Semaphore = request.app.state.sessions
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await places.acquire()
    except TimeoutError:
        raise Overloaded(
            f"more requests wait for the database than are served in {PATIENCE_SECONDS:g} s; try again"
        ) from None
    try:
        yield
    finally:
        places.release()


Admitted = Annotated[None, Depends(_admitted, scope="function")]


async def _reading(request: Request, _place: Admitted) -> AsyncIterator[Session]:
    # Asynchronous, because it waits for nothing: the connection is taken by the first query, in the
    # endpoint's thread, and to give it back asks nothing of the database.
    database: Database = request.app.state.database
    with database.reading() as session:
        yield session


def _writing(request: Request, _place: Admitted) -> Iterator[Session]:
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
        raise Overloaded("the server is shutting down: send it again in a moment", code="shutting_down")


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
