"""A database that fails at one call: a statement or COMMIT is lost on the way, or the answer to a COMMIT."""

import sqlite3
from types import TracebackType
from typing import Any, Literal

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from core.db.session import Database

What = Literal["call", "answer"]
WHATS: tuple[What, ...] = ("call", "answer")


class LostCall:
    """While it is entered, the call `number` is lost, counted from 1; 0 loses none.

    "call": of all statements and COMMITs, before it takes effect. "answer": of COMMITs alone, after it took
    effect. The connection of PostgreSQL is gone then; SQLite reports an I/O error. What the operation raises
    because of that ends with this context.

    Attributes:
        happened: whether there was such a call.
        number, what: as given.
    """

    def __init__(self, database: Database, number: int, what: What) -> None:
        self.happened = False
        self._dialect: Any = database.engine.dialect
        self.number = number
        self.what = what
        self._seen = 0
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> "LostCall":
        for name in ("do_execute", "do_execute_no_params", "do_executemany"):
            self._patch.setattr(self._dialect, name, self._statement(getattr(self._dialect, name)))
        self._patch.setattr(self._dialect, "do_commit", self._commit(self._dialect.do_commit))
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> bool:
        self._patch.undo()
        return self.happened and isinstance(error, DBAPIError)

    def _statement(self, send: Any) -> Any:
        def execute(cursor: Any, *arguments: Any, **named: Any) -> None:
            if self.what == "call" and self._is_next():
                raise _lose(cursor.connection)
            send(cursor, *arguments, **named)

        return execute

    def _commit(self, send: Any) -> Any:
        def commit(connection: Any) -> None:
            lost = self._is_next()
            if not lost or self.what == "answer":
                send(connection)
            if lost:
                raise _lose(connection.dbapi_connection)

        return commit

    def _is_next(self) -> bool:
        self._seen += 1
        if self._seen != self.number:
            return False
        self.happened = True
        return True


def _lose(connection: Any) -> Exception:
    """What the driver raises, after what happens to its connection."""
    if isinstance(connection, sqlite3.Connection):
        connection.rollback()  # as SQLite itself does at an I/O error
        return sqlite3.OperationalError("disk I/O error")
    connection.close()
    return psycopg.OperationalError("server closed the connection unexpectedly")
