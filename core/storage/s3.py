"""Blobs in a bucket of Amazon S3, or of whatever speaks its protocol.

Endpoint, region and credentials are the AWS_* variables of the environment. Every object carries the SHA-256
of its bytes, by which a copy of it is checked.
"""

import errno
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import S3Store

from core.errors import StorageUnavailable
from core.storage.cache import Cache
from core.storage.disk import full_disk_is_named, sha256_file, sync
from core.storage.keys import checked
from core.storage.partial import PartialFiles
from core.storage.receiver import Receiver
from core.storage.temporary import Temporary

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ClientConfig

log = structlog.get_logger(__name__)

MiB = 1 << 20

#: A part of an upload, a range of a download: of these a few are in memory at once.
_PART = 8 * MiB
_PARTS_AT_ONCE = 4
#: S3 takes 10,000 parts of an object.
_MOST_PARTS = 9_000

#: How long a request is tried again, while a client waits for its answer.
_RETRY = timedelta(seconds=15)

_DIGEST = "sha256"


class S3Storage:
    """core.storage.Storage at `url` (s3://bucket/prefix), with its local files under `root`."""

    def __init__(self, url: str, root: Path, *, cache_bytes: int) -> None:
        self._store = S3Store.from_url(
            url, client_options=_client(seconds=60), retry_config={"max_retries": 10, "retry_timeout": _RETRY}
        )
        self._prober = S3Store.from_url(
            url, client_options=_client(seconds=5), retry_config={"max_retries": 0, "retry_timeout": _RETRY}
        )
        self._temporary = Temporary(root.absolute() / "tmp")
        self._cache = Cache(root.absolute() / "cache", cache_bytes)
        self.partial = PartialFiles(root.absolute() / "partial")

    def scratch(self) -> AbstractContextManager[Path]:
        return self._temporary.scratch()

    def receive(self) -> AbstractContextManager[Receiver]:
        return self._temporary.receive(self.put)

    def put(self, key: str, source: Path) -> None:
        """Copy `source`. Of a directory that failed some files may be there: nothing refers to them yet."""
        checked(key)
        if source.is_dir():
            for path in sorted(source.rglob("*")):
                if path.is_file():
                    self._put_file(f"{key}/{path.relative_to(source).as_posix()}", path)
        else:
            self._put_file(key, source)

    def adopt(self, key: str, source: Path) -> None:
        self.put(key, source)

    def size(self, key: str) -> int:
        with _named():
            return obstore.head(self._store, checked(key))["size"]

    def read(self, key: str, start: int, stop: int) -> Iterator[bytes]:
        checked(key)
        for at in range(start, stop, _PART):
            with _named():
                yield bytes(obstore.get_range(self._store, key, start=at, end=min(at + _PART, stop)))

    def local_file(self, key: str) -> AbstractContextManager[Path]:
        def fetch(target: Path) -> None:
            with _named():
                known = obstore.head(self._store, key)
            self._cache.make_room(known["size"])
            self._fetch(known, target)

        return self._cache.hold(checked(key), fetch)

    def local_folder(self, prefix: str) -> AbstractContextManager[Path]:
        def fetch(target: Path) -> None:
            known = self._objects(prefix)
            if not known:
                raise FileNotFoundError(errno.ENOENT, "nothing is stored below", prefix)
            self._cache.make_room(sum(one["size"] for one in known))
            for one in known:
                path = target / one["path"].removeprefix(f"{prefix}/")
                with full_disk_is_named():
                    path.parent.mkdir(parents=True, exist_ok=True)
                self._fetch(one, path)

        return self._cache.hold(checked(prefix), fetch)

    def delete(self, key: str) -> None:
        with _named():
            obstore.delete(self._store, checked(key))
        self._cache.forget(key)

    def delete_prefix(self, prefix: str) -> None:
        keys = list(self.keys(checked(prefix)))
        with _named():
            obstore.delete(self._store, keys)
        self._cache.forget(prefix)

    def keys(self, prefix: str = "") -> Iterator[str]:
        yield from sorted(one["path"] for one in self._objects(prefix))

    def unchanged_for(self, prefix: str, seconds: float) -> list[str]:
        oldest = time.time() - seconds
        found = [one["path"] for one in self._objects(prefix) if one["last_modified"].timestamp() < oldest]
        return sorted(found)

    def forget_abandoned(self, older_than_seconds: float = 86_400) -> None:
        self._temporary.forget_abandoned(older_than_seconds)
        self._cache.forget_unused(older_than_seconds)

    def check(self) -> None:
        with self.scratch() as folder:
            (folder / "probe").write_bytes(b"ok")
        with _named():
            obstore.put(self._prober, _PROBE, b"ok")

    def _objects(self, prefix: str) -> "list[ObjectMeta]":
        with _named():
            pages = obstore.list(self._store, checked(prefix) if prefix else None, chunk_size=1000)
            return [one for page in pages for one in page if one["path"] != _PROBE]

    def _put_file(self, key: str, source: Path) -> None:
        part = max(_PART, -(-source.stat().st_size // _MOST_PARTS))
        digest = sha256_file(source)
        try:
            with _named():
                obstore.put(
                    self._store, checked(key), source,
                    attributes={_DIGEST: digest}, chunk_size=part, max_concurrency=_PARTS_AT_ONCE,
                )  # fmt: skip
        except FileNotFoundError as error:
            raise _unavailable(error) from error  # the bucket: the source was just read

    def _fetch(self, known: "ObjectMeta", target: Path) -> None:
        """A durable copy of an object, checked. Raises OSError: it is not what was put."""
        key, size = known["path"], known["size"]
        with _named():
            announced = obstore.get(self._store, key, options={"head": True}).attributes.get(_DIGEST)
        digest = hashlib.sha256()
        with full_disk_is_named(), target.open("wb") as file:
            for at in range(0, size, _PART * _PARTS_AT_ONCE):
                starts = list(range(at, min(at + _PART * _PARTS_AT_ONCE, size), _PART))
                ends = [min(start + _PART, size) for start in starts]
                with _named():
                    pieces = obstore.get_ranges(self._store, key, starts=starts, ends=ends, coalesce=0)
                for piece in pieces:
                    digest.update(piece)
                    file.write(piece)
        if digest.hexdigest() != announced:
            raise OSError(errno.EIO, "the SHA-256 is not the one it was stored with", key)
        sync(target)


#: What `check` writes; no blob.
_PROBE = "readiness-probe"


def _client(*, seconds: int) -> "ClientConfig":
    # The library reads AWS_ALLOW_HTTP itself only where nothing else is set.
    allow_http = os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true", "yes")
    return {
        "allow_http": allow_http,
        "connect_timeout": timedelta(seconds=5),
        "timeout": timedelta(seconds=seconds),
    }


@contextmanager
def _named() -> Iterator[None]:
    """Turn what the library raises into the one error that says what it means to us.

    Raises:
        FileNotFoundError: there is a bucket, but not this object.
        StorageUnavailable: anything else.
    """
    try:
        yield
    except BaseError as error:
        raise _unavailable(error) from error
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise _unavailable(error) from error
        raise FileNotFoundError(errno.ENOENT, str(error).partition(":")[0]) from None


def _unavailable(error: Exception) -> StorageUnavailable:
    # The first line: the others show the library's insides.
    log.error("storage not available", error=str(error).partition("\n")[0])
    return StorageUnavailable("the storage does not answer as it should; try again")
