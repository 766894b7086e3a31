"""Fresh databases, migrated."""

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import create_engine, make_url, text

from core.db.migrate import upgrade
from core.db.models import Base


@contextmanager
def empty_postgres(server: str) -> Iterator[str]:
    """A new database on a server, dropped afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
        admin.dispose()


@contextmanager
def migrated_postgres(server: str) -> Iterator[str]:
    with empty_postgres(server) as url:
        upgrade(url)
        yield url


def emptied_postgres(url: str) -> str:
    """Delete every row of a migrated database, and end whoever else is in it: quicker than a new one."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        # Processes that a test has killed or left may still hold locks.
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        # Of as few rows as tests make, quicker than TRUNCATE.
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table.name)))
    return url


def empty_sqlite(folder: Path) -> str:
    return f"sqlite+pysqlite:///{folder / 'test.db'}"


def migrated_sqlite(folder: Path) -> str:
    """A database of its own: a copy of one that is migrated once in each process."""
    (folder / "test.db").write_bytes(migrated())
    return empty_sqlite(folder)


@lru_cache
def migrated() -> bytes:
    """The file of an empty database of SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        upgrade(empty_sqlite(Path(folder)))
        return (Path(folder) / "test.db").read_bytes()
