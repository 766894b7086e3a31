"""Uploads and downloads of the client, over connections that break and in processes that are killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from condensery import ChecksumMismatch, Client, Dataset, NothingToSend
from condensery.client.files import partial_of
from core.db.session import Database
from core.storage.disk import sha256_file
from core.storage.local import LocalStorage
from tests.support.api import add_artifact
from tests.support.breaking_proxy import BreakingProxy
from tests.support.service import ROOT, Service

MB = 1_000_000  # of the three that `file` has
HEADS = 20_000  # what requests have besides the bytes of the file


# Uploads


def test_an_upload_arrives_over_a_connection_that_breaks_again_and_again(
    proxy: BreakingProxy, file: Path, cache: Path
) -> None:
    proxy.cuts = [("up", MB), ("up", MB // 2), ("down", 1), ("up", MB)]
    told: list[tuple[int, int]] = []
    with Client(proxy.url) as client:
        made = client.upload(file, lambda sent, whole: told.append((sent, whole)))
    assert (made.state, made.size, made.sha256) == ("complete", 3 * MB, sha256_file(file))
    assert made.file_name == "set.zip"
    assert proxy.cuts == []
    assert proxy.sent < 3.6 * MB, "what had come is not sent again"
    assert told[-1] == (3 * MB, 3 * MB)
    assert list(cache.iterdir()) == []


def test_an_upload_whose_first_answer_is_lost_is_begun_once(
    service: Service, proxy: BreakingProxy, file: Path
) -> None:
    with service.client() as there:
        before = {one["id"] for one in there.get("/v1/uploads", limit=200)["data"]}
    proxy.cuts = [("down", 1)] * 2
    with Client(proxy.url) as client:
        made = client.upload(file)
    assert proxy.cuts == []
    with service.client() as there:
        after = {one["id"] for one in there.get("/v1/uploads", limit=200)["data"]}
    assert after - before == {made.id}, "none is left behind"


@retry(stop=stop_after_delay(30), wait=wait_fixed(0.05), retry=retry_if_result(lambda received: not received))
def _until_received(client: Client, size: int) -> bool:
    """Whether the server has read so much of the newest upload: what was sent waits in sockets at first."""
    return bool(client.get("/v1/uploads", limit=1)["data"][0]["offset"] > size)


def test_another_process_goes_on_where_one_was_killed(
    service: Service, proxy: BreakingProxy, file: Path, cache: Path
) -> None:
    lines = [
        "import os, signal, sys",
        "from condensery import Client",
        "def die(sent, whole):",
        "    if sent > 2_000_000: os.kill(os.getpid(), signal.SIGKILL)",
        "Client(sys.argv[1]).upload(sys.argv[2], die)",
    ]
    killed = subprocess.run([sys.executable, "-c", "\n".join(lines), proxy.url, str(file)], cwd=ROOT)
    assert killed.returncode == -9
    assert len(list(cache.iterdir())) == 1
    proxy.wait_until_at_rest()
    before = proxy.sent
    with Client(proxy.url) as client:
        _until_received(client, MB)
        told: list[int] = []
        made = client.upload(file, lambda sent, whole: told.append(sent))
    assert made.sha256 == sha256_file(file)
    assert told[0] > MB
    assert proxy.sent - before < 3 * MB - told[0] + HEADS, "what had come is not sent again"


def test_an_upload_that_the_server_has_forgotten_begins_anew(
    client: Client, service: Service, file: Path, cache: Path
) -> None:
    class Stop(Exception):
        pass

    def stop(sent: int, whole: int) -> None:
        if sent:
            raise Stop

    with pytest.raises(Stop):
        client.upload(file, stop)
    (begun,) = service.partial()
    client.delete(f"/v1/uploads/{begun}")
    made = client.upload(file)
    assert made.id != begun
    assert made.sha256 == sha256_file(file)


def test_a_folder_goes_as_the_same_zip_each_time(client: Client, tmp_path: Path) -> None:
    folder = tmp_path / "flowers"
    for name in ("rose/a.png", "tulip/b.png", ".git/c"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    first, second = client.upload(folder), client.upload(folder)
    assert first.file_name == "flowers.zip"
    assert first.sha256 == second.sha256
    (tmp_path / "bare" / ".git").mkdir(parents=True)
    with pytest.raises(NothingToSend, match="no file in it"):
        client.upload(tmp_path / "bare")


# Downloads


@pytest.fixture
def content() -> bytes:
    return os.urandom(2 * MB)


@pytest.fixture
def artifact_id(
    service: Service, database: Database, dataset: Dataset, client: Client, content: bytes
) -> str:
    job = client.jobs.submit(dataset, ipc=1, iterations=5)
    return add_artifact(database, LocalStorage(service.data_dir), job.id, content).id


def test_a_download_arrives_over_a_connection_that_breaks(
    proxy: BreakingProxy, artifact_id: str, content: bytes, tmp_path: Path
) -> None:
    with Client(proxy.url) as client:
        artifact = client.artifacts.get(artifact_id)
    proxy.cuts = [("down", MB), ("down", MB // 2)]
    told: list[int] = []
    with Client(proxy.url) as client:
        artifact = client.artifacts.get(artifact_id)
        path = artifact.download(tmp_path, lambda came, whole: told.append(came))
    assert path.read_bytes() == content
    assert told == sorted(told), "nothing is begun anew"
    assert path == tmp_path / "set.npz"
    assert not list(tmp_path.glob("*.part"))


def test_a_download_goes_on_from_what_another_process_left(
    client: Client, artifact_id: str, content: bytes, tmp_path: Path
) -> None:
    artifact = client.artifacts.get(artifact_id)
    target = tmp_path / "out"
    partial_of(target, artifact.sha256).write_bytes(content[:MB])
    told: list[int] = []
    artifact.download(target, lambda came, whole: told.append(came))
    assert told[0] == MB
    assert target.read_bytes() == content


def test_wrong_bytes_are_not_kept(client: Client, artifact_id: str, content: bytes, tmp_path: Path) -> None:
    artifact = client.artifacts.get(artifact_id)
    target = tmp_path / "out"
    partial_of(target, artifact.sha256).write_bytes(bytes(MB))
    with pytest.raises(ChecksumMismatch):
        artifact.download(target)
    assert not target.exists()
    assert artifact.download(target).read_bytes() == content
