"""Blobs on a disk: they survive a power cut, and a full disk is named."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import StorageFull
from core.storage.disk import full_disk_is_named
from core.storage.local import LocalStorage
from tests.unit.storage.blobs import put, temporary


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


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


def test_folders_may_be_deleted_while_keys_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = LocalStorage(tmp_path)
    for name in ("a", "b", "c"):
        folder = storage.path(f"jobs/{name}/deep")
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"x")
    scandir = os.scandir

    def deleting(path: str | Path) -> object:
        if str(path).endswith("b"):
            shutil.rmtree(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", deleting)
    assert list(storage.keys("jobs")) == ["jobs/a/deep/file", "jobs/c/deep/file"]


def test_other_errors_keep_their_name() -> None:
    with pytest.raises(PermissionError), full_disk_is_named():
        raise PermissionError(errno.EACCES, "no")
    for number in (errno.ENOSPC, errno.EDQUOT):
        with pytest.raises(StorageFull), full_disk_is_named():
            raise OSError(number, "full")
