"""Fresh databases, migrated."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from core.db.migrate import upgrade


@contextmanager
def empty_postgres(server: str, template: str = "template1") -> Iterator[str]:
    """A new database on a server, a copy of `template`, dropped afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
        admin.dispose()


def empty_sqlite(folder: Path) -> str:
    return f"sqlite+pysqlite:///{folder / 'test.db'}"


@contextmanager
def migrated_postgres(server: str) -> Iterator[str]:
    with empty_postgres(server) as url:
        upgrade(url)
        yield url


def copied_sqlite(template: str, folder: Path) -> str:
    """A copy of a database that nobody uses: much quicker than to migrate another."""
    url = empty_sqlite(folder)
    source, target = make_url(template).database, make_url(url).database
    assert source is not None
    assert target is not None
    shutil.copyfile(source, target)
    return url
