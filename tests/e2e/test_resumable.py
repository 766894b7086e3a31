"""A tus client that nobody changed, and a server that is killed twice while it sends."""

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from tusclient.client import TusClient

from tests.support.processes import wait_for
from tests.support.proxy import HoldingProxy
from tests.support.service import Service

MB = 1_000_000
#: Of the file. By hand: CONDENSERY_TEST_TUS_MB=300
SIZE = int(os.environ.get("CONDENSERY_TEST_TUS_MB", "9")) * MB
#: How far the server may lag behind the network: what its process holds and has not written yet.
UNWRITTEN = 3 * MB


def test_a_server_that_is_killed_twice_gets_every_byte(
    own_service: Service, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """In one piece on one kind of service, in pieces with checksums on the other: neither depends on it."""
    pieces = 1 if request.node.callspec.params["own_service"] == "embedded" else 7
    file = tmp_path / "file"
    file.write_bytes(os.urandom(SIZE))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    own_service.migrate()
    own_service.start_api()
    began = time.perf_counter()
    with HoldingProxy(own_service.port) as proxy, ThreadPoolExecutor(1) as pool:
        client = TusClient(f"http://127.0.0.1:{proxy.port}/v1/uploads")
        proxy.allow(SIZE // 3)
        sending = pool.submit(
            lambda: client.uploader(
                str(file),
                chunk_size=-(-SIZE // pieces),
                metadata={"filename": "file.bin", "sha256": digest},
                retries=120,
                retry_delay=1,
                upload_checksum=pieces > 1,
            ).upload()
        )
        for more in (SIZE // 3, 1 << 40):
            received = wait_for(_Settled(own_service, proxy))
            own_service.kill_api()
            assert not sending.done()
            own_service.start_api()
            ((upload_id, size),) = own_service.partial().items()
            assert size >= received, "nothing of what came is lost"
            answer = httpx2.head(
                f"{own_service.url}/v1/uploads/{upload_id}", headers={"Tus-Resumable": "1.0.0"}
            )
            stands = int(answer.headers["upload-offset"])
            if pieces == 1:
                assert stands == size > 0
            else:
                assert stands == size // -(-SIZE // pieces) * -(-SIZE // pieces)
            proxy.allow(more)
        sending.result(300)
    print(f"{SIZE / MB:.0f} MB in {time.perf_counter() - began:.1f} s")
    assert proxy.sent < 1.1 * SIZE + 2 * (UNWRITTEN + (0 if pieces == 1 else SIZE / pieces))
    upload = httpx2.get(f"{own_service.url}/v1/uploads/{upload_id}").json()
    assert (upload["state"], upload["size"], upload["sha256"]) == ("complete", SIZE, digest)
    assert upload["file_name"] == "file.bin"
    stored = own_service.data_dir / "blobs" / "uploads" / upload_id
    assert hashlib.sha256(stored.read_bytes()).hexdigest() == digest
    assert (own_service.partial(), own_service.temporary()) == ({}, [])


class _Settled:
    """Bytes in the partial file, once all that may have come and six looks (0.1 s) saw no more; 0 before."""

    def __init__(self, service: Service, proxy: HoldingProxy) -> None:
        self._service, self._proxy = service, proxy
        self._seen: list[int] = []

    def __call__(self) -> int:
        if self._proxy.sent < self._proxy.allowed:
            return 0
        self._seen.append(sum(self._service.partial().values()))
        settled = len(self._seen) >= 6 and len(set(self._seen[-6:])) == 1
        return self._seen[-1] if settled else 0
