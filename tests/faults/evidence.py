"""What a service leaves: its database and its files, as they lie there, and its processes."""

import json
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg
from tenacity import RetryError

from tests.support.processes import wait_for


class Evidence:
    """A service's database and files, as they lie there. Without an address: the database among the files."""

    def __init__(self, data_dir: Path, database_url: str | None) -> None:
        self.data_dir = data_dir
        self._url = database_url or f"sqlite:///{data_dir / 'condensery.db'}"
        self._connection: psycopg.Connection[dict[str, Any]] | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def rows(self, table: str) -> list[dict[str, Any]]:
        query = f"SELECT * FROM {table}"
        if self._url.startswith("sqlite"):
            with sqlite3.connect(self._url.partition(":///")[2]) as connection:
                connection.row_factory = sqlite3.Row
                return [dict(row) for row in connection.execute(query)]
        if self._connection is not None:
            # One that has been cut since, with its server perhaps, is no evidence of anything.
            with suppress(psycopg.OperationalError):
                return list(self._connection.execute(query.encode()))
            self._connection.close()
        # Kept: for each one PostgreSQL starts a process.
        self._connection = psycopg.connect(
            self._url.replace("+psycopg", ""), row_factory=psycopg.rows.dict_row, autocommit=True
        )
        return list(self._connection.execute(query.encode()))

    def transactions_end(self) -> bool:
        """Whether, for a moment at least, nobody is in the middle of a transaction that writes."""
        try:
            wait_for(self._is_calm, seconds=1)
        except RetryError:
            return False
        return True

    def _is_calm(self) -> bool:
        if not self._url.startswith("sqlite"):
            return not [
                row
                for row in self.rows("pg_stat_activity")
                if row["backend_type"] == "client backend" and row["state"] != "idle"
                and row["query"] != "SELECT * FROM pg_stat_activity"
            ]  # fmt: skip
        path = self._url.partition(":///")[2]
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            except sqlite3.OperationalError:
                return False
        return True

    def blob(self, key: str) -> Path:
        return self.data_dir / "blobs" / key

    def blobs(self) -> set[str]:
        root = self.data_dir / "blobs"
        return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def from_json(value: Any) -> Any:
    """Of a column of JSON: SQLite has it as text."""
    return json.loads(value) if isinstance(value, str) else value


def processes_of(data_dir: Path) -> list[str]:
    """Whatever still runs with this service's data directory in its environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if str(data_dir).encode() in entry.read_bytes():
                found.append((entry.parent / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found
