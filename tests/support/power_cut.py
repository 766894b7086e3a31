"""What a power cut would leave of a folder, at every moment, and whether that is all that was promised.

The harshest file system that POSIX allows: of a file there is what it held when it was last synced, of a
directory the names that it had when it was. And a second one, which keeps every name at once, but no more of
the files: there a name may lead to an empty file.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.db.session import Database

Names = dict[int, dict[str, int]]


class PowerCut:
    """Sees every call below `folder` (tests/support/disk_calls.py) and every COMMIT.

    Attributes:
        missing: a sentence for each promise that a power cut at some moment would have broken.
        moments: how many there were.
    """

    def __init__(self, folder: Path, promised: Callable[[], dict[str, bytes]]) -> None:
        """
        Args:
            promised: what the rows that are committed refer to: files below `folder`, with what they hold.
        """
        self.missing: list[str] = []
        self.moments = 0
        self._folder = folder
        self._promised_now = promised
        self._promised: dict[str, bytes] = {}
        self._contents: dict[int, bytes] = {}
        # What is there before is taken to be safe.
        self._names: Names = self._names_now()

    def see(self, name: str, path: Path) -> None:
        self.look(f"before {name} of {path.relative_to(self._folder)}")
        if name == "fsync":
            self._sync(path)

    def look(self, when: str) -> None:
        """A power cut here."""
        self.moments += 1
        now = self._names_now()
        there = {inode for kept in (now, self._names) for names in kept.values() for inode in names.values()}
        for gone in self._contents.keys() - there:
            del self._contents[gone]  # its number may be given to another file
        for kept, names in (("only synced names", self._names), ("all names", now)):
            for key, content in self._promised.items():
                if self._found(names, key) != content:
                    self.missing.append(f"{when}, {kept}: {key}")

    def commits(self, database: Database, patch: pytest.MonkeyPatch) -> None:
        """See the COMMITs of this database from now on."""
        dialect: Any = database.engine.dialect
        really = dialect.do_commit

        def commit(connection: Any) -> None:
            self.look("before a COMMIT")
            really(connection)
            self._promised = self._promised_now()
            self.look("after a COMMIT")

        patch.setattr(dialect, "do_commit", commit)

    def _sync(self, path: Path) -> None:
        inode = path.stat().st_ino
        if path.is_dir():
            self._names[inode] = _names(path)
        else:
            self._contents[inode] = path.read_bytes()

    def _found(self, names: Names, key: str) -> bytes | None:
        inode: int | None = self._folder.stat().st_ino
        for part in Path(key).parts:
            inode = names.get(inode or 0, {}).get(part)
        return self._contents.get(inode or 0)

    def _names_now(self) -> Names:
        folders = (Path(folder) for folder, _, _ in os.walk(self._folder))
        return {folder.stat().st_ino: _names(folder) for folder in folders}


def _names(folder: Path) -> dict[str, int]:
    return {entry.name: entry.inode() for entry in os.scandir(folder)}
