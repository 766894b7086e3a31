"""Putting and reading what tests look at."""

from pathlib import Path

from core.storage import Storage


def put(storage: Storage, key: str, content: bytes) -> None:
    with storage.scratch() as folder:
        (folder / "file").write_bytes(content)
        storage.put(key, folder / "file")


def content(storage: Storage, key: str) -> bytes:
    return b"".join(storage.read(key, 0, storage.size(key)))


def temporary(root: Path) -> list[str]:
    return sorted(entry.name for entry in (root / "tmp").iterdir())
