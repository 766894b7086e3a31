"""A folder that cannot be read for a while: what tidies goes on, and clears it later."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.support.service import Service


@contextmanager
def unreadable(folder: Path) -> Iterator[None]:
    """Root may read whatever a mode forbids, but not list a file."""
    aside = folder.with_name("aside")
    folder.rename(aside)
    folder.touch()
    yield
    folder.unlink()
    aside.rename(folder)


def test_api_forgets_expired_uploads_once_it_can(tmp_path: Path) -> None:
    service = Service(tmp_path, CONDENSERY_REAP_SECONDS="0.2", CONDENSERY_UPLOAD_EXPIRY_SECONDS="1")
    service.migrate()
    service.start_api()
    try:
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "100"}
        httpx2.post(f"{service.url}/v1/uploads", headers=headers).raise_for_status()
        with unreadable(tmp_path / "partial"):
            service.wait_until(lambda: "not tidied" in service.log.read_text())
        service.wait_until(lambda: not service.partial() and not service.rows()["uploads"])
    finally:
        service.stop()


def test_worker_sweeps_what_was_left_once_it_can(tmp_path: Path) -> None:
    service = Service(tmp_path, CONDENSERY_REAP_SECONDS="0.2")
    service.migrate()
    left = tmp_path / "tmp" / "receive-left"
    left.parent.mkdir(exist_ok=True)
    service.start_worker()
    try:
        service.wait_until(lambda: "worker started" in service.log.read_text())
        with unreadable(left.parent):
            service.wait_until(lambda: "not swept" in service.log.read_text())
        left.touch()
        long_ago = time.time() - 7 * 86_400
        os.utime(left, (long_ago, long_ago))
        service.wait_until(lambda: not left.exists())
    finally:
        service.stop()
