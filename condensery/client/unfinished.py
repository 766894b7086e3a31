"""Where uploads that have not come to their end are known from, by whichever process goes on with them."""

import hashlib
import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from platformdirs import user_cache_path

from condensery.client.errors import FileChanged

#: Longer than servers keep unfinished uploads.
_KEPT_SECONDS = 7 * 86_400


def cache_folder(name: str) -> Path:
    """A folder of the user's cache directory, which exists. What is a week old is removed."""
    folder = user_cache_path("condensery") / name
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in folder.iterdir():
        with suppress(FileNotFoundError):  # another process was first
            if old.stat().st_mtime < time.time() - _KEPT_SECONDS:
                old.unlink()
    return folder


@dataclass(frozen=True)
class Unfinished:
    """The upload of one file, in the state that it is in now, to one server."""

    file: Path
    size: int
    mtime_ns: int
    note: Path

    @classmethod
    def of(cls, address: str, file: Path) -> Self:
        """Raises OSError: there is no such file."""
        file, stat = file.resolve(), file.stat()
        key = json.dumps([address, str(file), stat.st_size, stat.st_mtime_ns])
        note = cache_folder("uploads") / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
        return cls(file, stat.st_size, stat.st_mtime_ns, note)

    def recall(self) -> str | None:
        """The path of the upload on the server, if it was begun."""
        try:
            path = json.loads(self.note.read_bytes())["path"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return path if isinstance(path, str) else None

    def remember(self, path: str) -> None:
        fresh = self.note.with_suffix(f".{os.getpid()}.new")
        fresh.write_text(json.dumps({"file": str(self.file), "path": path}))
        fresh.replace(self.note)

    def forget(self) -> None:
        self.note.unlink(missing_ok=True)

    def check(self) -> None:
        """Raises FileChanged: it is not the file any more that was begun with."""
        now = self.file.stat()
        if (now.st_size, now.st_mtime_ns) != (self.size, self.mtime_ns):
            raise FileChanged(f"{self.file} changed during its upload: upload it again")
