"""Engine and sessions: the same plain functions on SQLite and PostgreSQL.

Domain functions take a session and never commit. Whoever opened the session (a request, a task)
commits once, by leaving `Database.writing()`; what waits for the commit (wake-up messages) is
called after it.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception,
    retry_if_not_result,
    stop_after_delay,
    wait_exponential,
)

from core.settings import get_settings
from core.storage.disk import make_folder

SQLITE_BUSY_MS = 20_000
LOCK_TIMEOUT_MS = 10_000
#: Of a client in the middle of a transaction: one that is frozen there keeps its locks, and everybody waits.
IDLE_TRANSACTION_MS = 20_000
#: A connection that was in use this recently is taken to be alive.
IDLE_SECONDS = 2.0
#: Of a database's machine, before it is asked whether it still lives; a third of a lease.
SILENT_SECONDS = 20
#: For a connection to become free, when all are busy.
POOL_TIMEOUT_SECONDS = 5


def make_engine(url: str) -> Engine:
    if make_url(url).get_backend_name() == "sqlite":
        if path := make_url(url).database:
            make_folder(Path(path).parent)
        # Parameters in errors, and with them in logs, would show secrets.
        engine = create_engine(url, hide_parameters=True, pool_timeout=POOL_TIMEOUT_SECONDS)
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_size=10,
        max_overflow=20,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        # Reads are without a transaction: there is nothing to roll back.
        skip_autocommit_rollback=True,
        # No query here is worth a compilation: it takes longer than any of them.
        connect_args={
            "options": f"-c lock_timeout={LOCK_TIMEOUT_MS} "
            f"-c idle_in_transaction_session_timeout={IDLE_TRANSACTION_MS} -c jit=off",
            "connect_timeout": 10,
            # A machine that is gone without a word: the system would wait for it for two hours.
            "keepalives_idle": SILENT_SECONDS,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": SILENT_SECONDS * 1000,
        },
    )
    event.listen(engine, "checkin", _note_use)
    event.listen(engine, "checkout", _ping_if_idle)
    return engine


def _note_use(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info["used"] = time.monotonic()


def _ping_if_idle(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
    """`pool_pre_ping`, but only where a connection may have died unnoticed: it is a round trip."""
    if time.monotonic() - record.info.get("used", time.monotonic()) < IDLE_SECONDS:
        return
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except psycopg.Error as error:
        raise DisconnectionError from error  # the pool opens another


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN comes too late: see _begin_sqlite
    for pragma in (
        f"busy_timeout={SQLITE_BUSY_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that reads, then writes, can fail at once with "locked", whatever the
    # busy timeout; one that takes the write lock first waits for it.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def refuses_writes(error: DBAPIError) -> bool:
    """Whether the database answered that it is read-only."""
    return isinstance(error.orig, psycopg.errors.ReadOnlySqlTransaction) or "readonly" in str(error.orig)


def is_unavailable(error: DBAPIError) -> bool:
    """Whether the same statement may well succeed later: the database is away, busy or read-only."""
    return (
        refuses_writes(error)
        or error.connection_invalidated
        or isinstance(error, OperationalError | InterfaceError)
    )


def _passes(error: BaseException) -> bool:
    return isinstance(error, DBAPIError) and is_unavailable(error)


class Database:
    """Sessions on one engine."""

    def __init__(self, url: str) -> None:
        self.engine = make_engine(url)
        self._writer = self.engine.execution_options(writes=True)
        # PostgreSQL: a transaction of reads has no snapshot of its own at the default isolation, only two
        # more round trips.
        in_sqlite = self.engine.dialect.name == "sqlite"
        self._reader = (
            self.engine if in_sqlite else self.engine.execution_options(isolation_level="AUTOCOMMIT")
        )

    def wait_until_writable(self, seconds: float) -> bool:
        """Whether the database answers and, if it is PostgreSQL, takes writes: now, or within `seconds`."""
        attempts = Retrying(
            retry=retry_if_exception(_passes) | retry_if_not_result(bool),
            stop=stop_after_delay(seconds),
            wait=wait_exponential(multiplier=0.1, max=2),
        )
        try:
            attempts(self.takes_writes)
        except RetryError:
            return False
        return True

    def takes_writes(self) -> bool:
        """Whether it does; a PostgreSQL that is a standby, or set read-only, does not."""
        with self.engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                return bool(connection.scalar(text("SELECT 1")))
            return bool(connection.scalar(text("SHOW transaction_read_only")) == "off")

    @contextmanager
    def reading(self) -> Iterator[Session]:
        with Session(self._reader, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back on any exception."""
        with Session(self._writer, expire_on_commit=False) as session:
            yield session
            session.commit()
            hooks: list[Callable[[], Any]] = session.info.pop("after_commit", [])
        for hook in hooks:
            hook()


def after_commit(session: Session, hook: Callable[[], Any]) -> None:
    """Call `hook` once the session's transaction is durable; never if it is rolled back."""
    session.info.setdefault("after_commit", []).append(hook)


@lru_cache
def get_database() -> Database:
    """The database of this process. Not to be called before a fork."""
    return Database(get_settings().database)
