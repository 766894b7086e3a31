"""Files of this machine that live as long as whoever makes them."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.storage.disk import full_disk_is_named
from core.storage.receiver import Receiver


class Temporary:
    """A folder of them, on the file system of everything else under the data directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A directory, gone afterwards."""
        with full_disk_is_named(), tempfile.TemporaryDirectory(dir=self._folder) as folder:
            yield Path(folder)

    @contextmanager
    def receive(self, put: Callable[[str, Path], None]) -> Iterator[Receiver]:
        """A file to stream bytes into while they are hashed; gone afterwards unless `put` moved it."""
        # Closing writes what is still buffered, so it can meet the full disk too.
        with (
            full_disk_is_named(),
            tempfile.NamedTemporaryFile(dir=self._folder, prefix="receive-", delete=False) as file,
        ):
            try:
                yield Receiver(file, put)
            finally:
                Path(file.name).unlink(missing_ok=True)

    def forget_abandoned(self, older_than_seconds: float) -> None:
        """Delete what processes that died left."""
        oldest = time.time() - older_than_seconds
        for entry in self._folder.iterdir():
            # Whoever made it may delete it meanwhile.
            with suppress(FileNotFoundError):
                newest = max(path.stat().st_mtime for path in (entry, *entry.rglob("*")))
                if newest >= oldest:
                    continue
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
