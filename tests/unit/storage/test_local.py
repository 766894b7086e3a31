"""Blobs: whole or absent, under keys that cannot leave the store, and honest about a full disk."""

import errno
import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import StorageFull
from core.storage.local import LocalStorage, full_disk_is_named, sha256_file

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


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


def temporary(root: Path) -> list[str]:
    return sorted(entry.name for entry in (root / "tmp").iterdir())


def put(storage: LocalStorage, key: str, content: bytes) -> None:
    with storage.scratch() as folder:
        (folder / "file").write_bytes(content)
        storage.put(key, folder / "file")


def test_put_moves_a_file(storage: LocalStorage, tmp_path: Path) -> None:
    put(storage, "jobs/job_1/a1/file.bin", b"content")
    assert storage.path("jobs/job_1/a1/file.bin").read_bytes() == b"content"
    assert list(storage.keys()) == ["jobs/job_1/a1/file.bin"]
    assert temporary(tmp_path) == []


def test_put_moves_a_folder(storage: LocalStorage, tmp_path: Path) -> None:
    with storage.scratch() as folder:
        out = folder / "out"
        (out / "sub").mkdir(parents=True)
        (out / "one").write_bytes(b"1")
        (out / "sub" / "two").write_bytes(b"2")
        storage.put("sets/a1", out)
    assert list(storage.keys("sets")) == ["sets/a1/one", "sets/a1/sub/two"]
    assert storage.path("sets/a1/sub/two").read_bytes() == b"2"
    assert temporary(tmp_path) == []


def test_put_syncs_content_then_renames_then_syncs_the_names(
    storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in this order, or a power cut leaves a name without bytes, or bytes without a name."""
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(descriptor: int) -> None:
        fsync(descriptor)
        done.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")

    def noted_replace(source: Path, target: Path) -> Path:
        done.append(f"rename {target.name}")
        return replace(source, target)

    with storage.scratch() as folder:
        out = folder / "out"
        (out / "inner").mkdir(parents=True)
        (out / "inner" / "file").write_bytes(b"1")
        monkeypatch.setattr(os, "fsync", noted_fsync)
        monkeypatch.setattr(Path, "replace", noted_replace)
        storage.put("jobs/new/a1", out)
    renamed = done.index("rename a1")
    assert set(done[:renamed]) == {"sync file", "sync inner", "sync out"}
    assert done[renamed + 1 :] == ["sync new", "sync jobs", "sync blobs"]


def test_a_put_that_fails_leaves_no_blob(
    storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="the disk is broken"):
        put(storage, "a/b", b"content")
    assert list(storage.keys()) == []
    assert temporary(tmp_path) == []


@pytest.mark.parametrize("key", BAD_KEYS)
def test_keys_cannot_leave_the_store(storage: LocalStorage, tmp_path: Path, key: str) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content")
    for act in (storage.path, storage.delete, storage.delete_prefix, lambda k: storage.put(k, source)):
        with pytest.raises(ValueError, match="not a blob key"):
            act(key)
    assert source.exists()


def test_receive_hashes_while_it_stores(storage: LocalStorage, tmp_path: Path) -> None:
    content = os.urandom(100_000)
    with storage.receive() as receiver:
        for start in range(0, len(content), 999):
            receiver.write(content[start : start + 999])
        assert (receiver.size, receiver.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        receiver.store("uploads/up_1")
    path = storage.path("uploads/up_1")
    assert path.read_bytes() == content
    assert sha256_file(path) == receiver.sha256
    assert temporary(tmp_path) == []


def test_receive_leaves_nothing_unless_stored(storage: LocalStorage, tmp_path: Path) -> None:
    with storage.receive() as receiver:
        receiver.write(b"unwanted")
    with pytest.raises(RuntimeError), storage.receive() as receiver:
        receiver.write(b"interrupted")
        raise RuntimeError
    with pytest.raises(ValueError, match="not a blob key"), storage.receive() as receiver:
        receiver.store("../elsewhere")
    assert list(storage.keys()) == []
    assert temporary(tmp_path) == []


def test_bytes_that_are_there_already_are_kept(storage: LocalStorage, tmp_path: Path) -> None:
    for _ in range(2):
        with storage.receive() as receiver:
            receiver.write(b"same")
            receiver.store("uploads/up_1")
    assert storage.path("uploads/up_1").read_bytes() == b"same"
    assert temporary(tmp_path) == []


def test_delete_takes_one_blob_and_a_prefix_takes_all_below(storage: LocalStorage) -> None:
    for key in ("jobs/a/1", "jobs/a/2", "jobs/ab/1"):
        put(storage, key, b"1")
    storage.delete("jobs/a/2")
    storage.delete("jobs/a/2")
    assert list(storage.keys()) == ["jobs/a/1", "jobs/ab/1"]
    storage.delete_prefix("jobs/a")
    storage.delete_prefix("jobs/a")
    assert list(storage.keys()) == ["jobs/ab/1"]
    assert list(storage.keys("jobs/a")) == []


def test_only_old_leftovers_are_forgotten(storage: LocalStorage, tmp_path: Path) -> None:
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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(disk)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"mounting a small disk needs root and CAP_SYS_ADMIN: {error}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("chunk", [100, 1000, 100_000], ids=lambda size: f"{size} B")
def test_a_full_disk_is_named_and_nothing_is_kept(small_disk: Path, chunk: int) -> None:
    """Whether the write itself meets the end of the disk, or the flush of what was buffered."""
    storage = LocalStorage(small_disk)
    put(storage, "earlier/blob", b"kept")
    with pytest.raises(StorageFull, match="nothing was kept"), storage.receive() as receiver:
        for _ in range(400_000 // chunk):
            receiver.write(b"x" * chunk)
        receiver.store("uploads/up_1")
    assert list(storage.keys()) == ["earlier/blob"]
    assert temporary(small_disk) == []
    put(storage, "later/blob", b"x" * 100_000)
    assert storage.path("later/blob").stat().st_size == 100_000, "room again"


def test_a_full_disk_is_named_in_scratch_too(small_disk: Path) -> None:
    storage = LocalStorage(small_disk)
    with pytest.raises(StorageFull), storage.scratch() as folder:
        (folder / "file").write_bytes(b"x" * 400_000)
    assert temporary(small_disk) == []


def test_other_errors_keep_their_name() -> None:
    with pytest.raises(PermissionError), full_disk_is_named():
        raise PermissionError(errno.EACCES, "no")
    for number in (errno.ENOSPC, errno.EDQUOT):
        with pytest.raises(StorageFull), full_disk_is_named():
            raise OSError(number, "full")
