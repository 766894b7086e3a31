"""Blobs of either kind of storage: whole or absent, under keys that cannot leave it."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.storage import Storage
from core.storage.disk import sha256_file
from tests.unit.storage.blobs import content, put, temporary

BAD_KEYS = [
    "",
    ".",
    "..",
    "/",
    "/etc/passwd",
    "../up",
    "a/../b",
    "a/..",
    "a//b",
    "a/",
    "/a",
    ".hidden",
    "a/.hidden",
    "a\\b",
    "a b",
    "a\0b",
    "a\n",
    "~root",
    "ä",
]


def test_put_keeps_a_file(storage: Storage, tmp_path: Path) -> None:
    put(storage, "jobs/job_1/a1/file.bin", b"content")
    assert content(storage, "jobs/job_1/a1/file.bin") == b"content"
    assert list(storage.keys()) == ["jobs/job_1/a1/file.bin"]
    assert temporary(tmp_path) == []


def test_put_keeps_a_folder(storage: Storage, tmp_path: Path) -> None:
    with storage.scratch() as folder:
        out = folder / "out"
        (out / "sub").mkdir(parents=True)
        (out / "one").write_bytes(b"1")
        (out / "sub" / "two").write_bytes(b"2")
        storage.put("sets/a1", out)
    assert list(storage.keys("sets")) == ["sets/a1/one", "sets/a1/sub/two"]
    with storage.local_folder("sets/a1") as found:
        assert {p.relative_to(found).as_posix(): p.read_bytes() for p in found.rglob("*") if p.is_file()} == {
            "one": b"1",
            "sub/two": b"2",
        }
    assert temporary(tmp_path) == []


def test_adopt_leaves_the_source(storage: Storage, tmp_path: Path) -> None:
    source = tmp_path / "partial" / "up_1"
    source.write_bytes(b"received")
    for _ in range(2):  # the second time after an attempt that died
        storage.adopt("uploads/up_1", source)
    assert content(storage, "uploads/up_1") == b"received"
    assert source.read_bytes() == b"received"


@pytest.mark.parametrize("size", [0, 1, 100, 20_000_000], ids=lambda size: f"{size} B")
def test_any_size_can_be_read_in_parts_and_as_a_file(storage: Storage, size: int) -> None:
    expected = os.urandom(size)
    put(storage, "a/b", expected)
    assert storage.size("a/b") == size
    third = size // 3
    for start, stop in ((0, size), (0, third), (third, size), (third, third + size // 9), (size, size)):
        assert b"".join(storage.read("a/b", start, stop)) == expected[start:stop]
    for _ in range(2):
        with storage.local_file("a/b") as path:
            assert path.read_bytes() == expected


def test_what_is_not_there_is_not_found(storage: Storage) -> None:
    put(storage, "a/b", b"1")
    for key in ("a/c", "a/b/c"):
        with pytest.raises(OSError):  # a file where a folder is asked for
            storage.size(key)
        with pytest.raises(OSError):
            list(storage.read(key, 0, 1))
        with pytest.raises(OSError), storage.local_file(key) as path:
            path.read_bytes()
    with pytest.raises(FileNotFoundError), storage.local_folder("c") as folder:
        list(folder.iterdir())


@pytest.mark.parametrize("key", BAD_KEYS)
def test_keys_cannot_leave_the_store(storage: Storage, tmp_path: Path, key: str) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content")
    acts: list[Callable[[str], Any]] = [
        storage.size,
        storage.delete,
        storage.delete_prefix,
        lambda key: list(storage.read(key, 0, 1)),
        lambda key: storage.local_file(key).__enter__(),
        lambda key: storage.local_folder(key).__enter__(),
        lambda key: storage.put(key, source),
        lambda key: storage.adopt(key, source),
    ]
    for act in acts:
        with pytest.raises(ValueError, match="not a blob key"):
            act(key)
    assert source.exists()


def test_receive_hashes_while_it_stores(storage: Storage, tmp_path: Path) -> None:
    expected = os.urandom(100_000)
    with storage.receive() as receiver:
        for start in range(0, len(expected), 999):
            receiver.write(expected[start : start + 999])
        assert (receiver.size, receiver.sha256) == (len(expected), hashlib.sha256(expected).hexdigest())
        receiver.store("uploads/up_1")
    assert content(storage, "uploads/up_1") == expected
    with storage.local_file("uploads/up_1") as path:
        assert sha256_file(path) == receiver.sha256
    assert temporary(tmp_path) == []


def test_receive_leaves_nothing_unless_stored(storage: Storage, tmp_path: Path) -> None:
    with storage.receive() as receiver:
        receiver.write(b"unwanted")
    with pytest.raises(RuntimeError), storage.receive() as receiver:
        receiver.write(b"interrupted")
        raise RuntimeError
    with pytest.raises(ValueError, match="not a blob key"), storage.receive() as receiver:
        receiver.store("../elsewhere")
    assert list(storage.keys()) == []
    assert temporary(tmp_path) == []


def test_stored_twice_is_stored_once(storage: Storage, tmp_path: Path) -> None:
    for _ in range(2):
        with storage.receive() as receiver:
            receiver.write(b"same")
            receiver.store("uploads/up_1")
    assert content(storage, "uploads/up_1") == b"same"
    assert temporary(tmp_path) == []


def test_delete_takes_one_blob_and_a_prefix_takes_all_below(storage: Storage) -> None:
    for key in ("jobs/a/1", "jobs/a/2", "jobs/a/sub/1", "jobs/ab/1"):
        put(storage, key, b"1")
    storage.delete("jobs/a/2")
    storage.delete("jobs/a/2")
    assert list(storage.keys()) == ["jobs/a/1", "jobs/a/sub/1", "jobs/ab/1"]
    storage.delete_prefix("jobs/a")
    storage.delete_prefix("jobs/a")
    assert list(storage.keys()) == ["jobs/ab/1"]
    assert list(storage.keys("jobs/a")) == []


def test_only_what_is_old_has_not_changed(storage: Storage) -> None:
    put(storage, "uploads/up_1", b"1")
    put(storage, "datasets/ds_1/a1", b"1")
    assert storage.unchanged_for("uploads", 3600) == []
    assert storage.unchanged_for("uploads", -3600) == ["uploads/up_1"]


def test_a_check_leaves_no_blob(storage: Storage, tmp_path: Path) -> None:
    storage.check()
    assert list(storage.keys()) == []
    assert temporary(tmp_path) == []


def test_only_old_leftovers_are_forgotten(storage: Storage, tmp_path: Path) -> None:
    tmp = tmp_path / "tmp"
    for name, age in (("old", 3600), ("new", 10)):
        folder = tmp / f"{name}-folder"
        folder.mkdir()
        for file in (tmp / f"{name}-file", folder / "file"):
            file.write_bytes(b"left behind")
        for entry in (folder / "file", folder, tmp / f"{name}-file"):
            then = entry.stat().st_mtime - age
            os.utime(entry, (then, then))
    busy = tmp / "old-folder-still-written"
    busy.mkdir()
    (busy / "file").write_bytes(b"fresh")
    then = busy.stat().st_mtime - 3600
    os.utime(busy, (then, then))
    storage.forget_abandoned(older_than_seconds=600)
    assert temporary(tmp_path) == ["new-file", "new-folder", "old-folder-still-written"]
