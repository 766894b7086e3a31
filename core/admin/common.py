"""What the commands share: a database that is ready for them, and how they answer."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, NoReturn

import typer
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from core.db.migrate import is_current
from core.db.session import Database, get_database
from core.errors import StorageUnavailable

AsJson = Annotated[bool, typer.Option("--json", help="One JSON value on standard output.")]


@contextmanager
def migrated_database() -> Iterator[Database]:
    """A database that has this code's schema; otherwise the command ends here."""
    database = get_database()
    where = database.engine.url.render_as_string(hide_password=True)
    try:
        with database.reading() as session:
            if not is_current(session.connection()):
                fail(
                    f"{where} does not have this version's schema. Bring it there: python -m core.db.migrate"
                )
        yield database
    except OperationalError as error:
        fail(f"{where} does not answer: {error.orig}")
    except StorageUnavailable as error:
        fail(error.detail)


@contextmanager
def transaction() -> Iterator[Session]:
    with migrated_database() as database, database.writing() as session:
        yield session


def show(rows: Sequence[Mapping[str, Any]], as_json: bool, *columns: str) -> None:
    """Rows as a table of these columns, or all of them as a JSON list."""
    if as_json:
        show_json(rows)
        return
    lines = [columns, *(tuple(_cell(row[name]) for name in columns) for row in rows)] if rows else []
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def show_json(value: Any) -> None:
    print(json.dumps(value, indent=1, default=_plain))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else str(value)


def _plain(value: Any) -> str:
    assert isinstance(value, datetime), value
    return value.isoformat()


def report(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def fail(sentence: str) -> NoReturn:
    report(f"condensery: {sentence}")
    raise typer.Exit(1)
