"""Bytes on their way to a blob."""

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path


class Receiver:
    """A file of this machine: `size` and `sha256` of what has come so far."""

    def __init__(
        self, file: "tempfile._TemporaryFileWrapper[bytes]", put: Callable[[str, Path], None]
    ) -> None:
        self._file = file
        self._put = put
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self._file.write(chunk)
        self.size += len(chunk)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def store(self, key: str) -> None:
        """Keep the bytes under `key`."""
        self._file.flush()
        self._put(key, Path(self._file.name))
