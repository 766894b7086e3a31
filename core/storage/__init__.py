"""Blobs by key, in a local (or shared) directory or in a bucket of S3: what both give, and which it is."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from core.settings import Settings, get_settings
from core.storage.partial import PartialFiles
from core.storage.receiver import Receiver


class Storage(Protocol):
    """Blobs appear whole or not at all, and are never changed. Keys are made by us, never by users.

    Any of them may raise StorageUnavailable; what writes to this machine's disk, StorageFull.

    Attributes:
        partial: files that arrive in pieces, always on this machine.
    """

    partial: PartialFiles

    def scratch(self) -> AbstractContextManager[Path]:
        """A local directory, gone afterwards, from which `put` is cheap."""

    def receive(self) -> AbstractContextManager[Receiver]:
        """A local file to stream bytes into while they are hashed; gone afterwards unless stored."""

    def put(self, key: str, source: Path) -> None:
        """Keep a file (or directory) from `scratch()` under `key`, durably. The source may be gone then."""

    def adopt(self, key: str, source: Path) -> None:
        """Keep a file under `key`, durably, and the source too, so that a crash after it loses nothing."""

    def size(self, key: str) -> int:
        """Bytes of a blob. Raises FileNotFoundError."""

    def read(self, key: str, start: int, stop: int) -> Iterator[bytes]:
        """The bytes [start, stop) of a blob, a piece at a time. Raises FileNotFoundError."""

    def local_file(self, key: str) -> AbstractContextManager[Path]:
        """A blob as a plain file that is there as long as the context.

        Raises OSError: it is not there, or no longer what was put.
        """

    def local_folder(self, prefix: str) -> AbstractContextManager[Path]:
        """A directory that was put, as a plain directory. Raises OSError as `local_file`."""

    def delete(self, key: str) -> None:
        """No error if it is not there."""

    def delete_prefix(self, prefix: str) -> None:
        """Every blob below `prefix`."""

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Every blob's key below `prefix`, in order."""

    def unchanged_for(self, prefix: str, seconds: float) -> list[str]:
        """The keys below `prefix` that have had these contents under this name for longer than this."""

    def forget_abandoned(self, older_than_seconds: float = 86_400) -> None:
        """Delete what processes of this machine that died left behind, and copies that nobody used."""

    def check(self) -> None:
        """Write something. Raises StorageUnavailable, StorageFull or OSError."""


def storage_of(settings: Settings) -> Storage:
    if settings.storage_url is None:
        from core.storage.local import LocalStorage

        return LocalStorage(settings.data_dir)
    from core.storage.s3 import S3Storage

    return S3Storage(settings.storage_url, settings.data_dir, cache_bytes=settings.storage_cache_bytes)


@lru_cache
def get_storage() -> Storage:
    """The storage of this process. Not to be called before a fork: the client of S3 has threads."""
    return storage_of(get_settings())
