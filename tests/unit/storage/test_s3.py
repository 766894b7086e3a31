"""A bucket: what fails leaves nothing, what comes back is what was put, and errors have one name."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import obstore
import pytest
from obstore.store import S3Store

from core.errors import StorageUnavailable
from core.storage import s3
from core.storage.s3 import S3Storage
from tests.support.buckets import aws_environment
from tests.support.processes import wait_for
from tests.support.proxy import HoldingProxy
from tests.support.servers import free_port
from tests.unit.storage.blobs import content, put

GiB = 1 << 30


@pytest.fixture
def storage(bucket: str, tmp_path: Path) -> S3Storage:
    return S3Storage(bucket, tmp_path, cache_bytes=GiB)


def raw(bucket: str) -> S3Store:
    return S3Store.from_url(bucket, client_options={"allow_http": True})


def test_other_machines_see_the_same(storage: S3Storage, bucket: str, tmp_path: Path) -> None:
    other = S3Storage(bucket, tmp_path / "other", cache_bytes=GiB)
    put(storage, "jobs/1/a", b"content")
    assert content(other, "jobs/1/a") == b"content"
    with other.local_file("jobs/1/a") as path:
        assert path.read_bytes() == b"content"
        assert path.is_relative_to(tmp_path / "other" / "cache")
    other.delete("jobs/1/a")
    assert list(storage.keys()) == []


def test_everything_is_below_the_prefix(storage: S3Storage, bucket: str, s3_address: str) -> None:
    put(storage, "a/b", b"content")
    name, _, prefix = bucket.removeprefix("s3://").partition("/")
    assert f"<Key>{prefix}/a/b</Key>" in httpx2.get(f"{s3_address}/{name}").text


@pytest.mark.parametrize("damage", [b"other content", b"short", b""], ids=["changed", "cut", "empty"])
def test_an_object_that_is_not_what_was_put_is_no_file(
    storage: S3Storage, bucket: str, tmp_path: Path, damage: bytes
) -> None:
    put(storage, "a/file", b"right content")
    digest = obstore.get(raw(bucket), "a/file").attributes["sha256"]
    obstore.put(raw(bucket), "a/file", damage, attributes={"sha256": digest})
    with pytest.raises(OSError, match="SHA-256"), storage.local_file("a/file"):
        pytest.fail("given out")
    with pytest.raises(OSError, match="SHA-256"), storage.local_folder("a"):
        pytest.fail("given out")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_an_upload_that_is_cut_leaves_no_object(
    storage: S3Storage, bucket: str, s3_address: str, tmp_path: Path
) -> None:
    """kill -9 in the middle of a file of several parts."""
    source = tmp_path / "source"
    source.write_bytes(os.urandom(30_000_000))
    script = textwrap.dedent(f"""
        from pathlib import Path
        from core.storage.s3 import S3Storage
        storage = S3Storage({bucket!r}, Path({str(tmp_path / "other")!r}), cache_bytes=0)
        storage.put("a/b", Path({str(source)!r}))
    """)
    with HoldingProxy(int(s3_address.rpartition(":")[2])) as proxy:
        proxy.allow(20_000_000)
        environment = os.environ | aws_environment(f"http://127.0.0.1:{proxy.port}")
        process = subprocess.Popen([sys.executable, "-c", script], env=environment)
        try:
            wait_for(lambda: proxy.sent >= proxy.allowed or process.poll() is not None)
            assert process.poll() is None, "it was held"
            assert list(storage.keys()) == []
        finally:
            process.kill()
        assert process.wait() == -signal.SIGKILL
    assert list(storage.keys()) == []
    storage.put("a/b", source)
    assert content(storage, "a/b") == source.read_bytes()


def test_more_keys_than_a_page_of_a_listing(storage: S3Storage) -> None:
    with storage.scratch() as folder:
        out = folder / "out"
        out.mkdir()
        for number in range(1100):
            (out / f"{number:04}").touch()
        storage.put("many", out)
    assert list(storage.keys("many")) == [f"many/{number:04}" for number in range(1100)]
    storage.delete_prefix("many")
    assert list(storage.keys()) == []


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "_RETRY", timedelta(0))


@pytest.mark.parametrize("fault", ["unreachable", "no such bucket"])
def test_a_storage_that_is_away_has_one_error(
    bucket: str, s3_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, impatient: None, fault: str
) -> None:
    url = bucket
    if fault == "unreachable":
        for name, value in aws_environment(f"http://127.0.0.1:{free_port()}").items():
            monkeypatch.setenv(name, value)
    else:
        url = "s3://nobody-made-this"
    storage = S3Storage(url, tmp_path, cache_bytes=GiB)
    acts: list[Callable[[], Any]] = [
        storage.check,
        lambda: put(storage, "a/b", b"1"),
        lambda: put(storage, "a/b", bytes(20_000_000)),
        lambda: list(storage.read("a/b", 0, 1)),
        lambda: storage.delete("a/b"),
        lambda: storage.delete_prefix("a"),
        lambda: list(storage.keys()),
        lambda: storage.unchanged_for("a", 0),
        lambda: storage.local_folder("a").__enter__(),
    ]
    if fault == "unreachable":  # the answer to HEAD has no body to tell a bucket from an object
        acts += [lambda: storage.size("a/b"), lambda: storage.local_file("a/b").__enter__()]
    for act in acts:
        with pytest.raises(StorageUnavailable) as caught:
            act()
        assert caught.value.code == "storage_unavailable"
        assert "127.0.0.1" not in caught.value.detail, "users are not told where it is"
