"""The client against a real API, over connections that break."""

import asyncio
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx2
import pytest
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from condensery import (
    ApiError,
    AsyncClient,
    ChecksumMismatch,
    Client,
    ConnectionFailed,
    Dataset,
    JobFailed,
    NothingToSend,
    NotOffered,
    UnexpectedAnswer,
)
from condensery.client.download import partial_of
from core.db.session import Database
from core.storage.local import LocalStorage
from tests.support.api import add_artifact, bring, make_ready
from tests.support.breaking_proxy import BreakingProxy
from tests.support.service import ROOT, Service

MB = 1_000_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """An API without a worker."""
    running = Service(tmp_path_factory.mktemp("client") / "data")
    running.run("core.db.migrate")
    running.start_api()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def database(service: Service) -> Iterator[Database]:
    made = Database(f"sqlite+pysqlite:///{service.data_dir / 'condensery.db'}")
    yield made
    made.engine.dispose()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The notes of unfinished uploads of this test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "condensery" / "uploads"


@pytest.fixture
def proxy(service: Service) -> Iterator[BreakingProxy]:
    with BreakingProxy(service.port) as made:
        yield made


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with service.client() as made:
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "set.zip"
    path.write_bytes(os.urandom(3 * MB))
    return path


@pytest.fixture
def dataset(client: Client, database: Database, file: Path) -> Dataset:
    made = client.datasets.add(file)
    make_ready(database, made.id)
    return made.wait()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# Uploads


def test_an_upload_arrives_over_a_connection_that_breaks_again_and_again(
    proxy: BreakingProxy, file: Path, cache: Path
) -> None:
    proxy.cuts = [("up", MB), ("up", MB // 2), ("down", 1), ("up", MB)]
    told: list[tuple[int, int]] = []
    with Client(proxy.url) as client:
        made = client.upload(file, lambda sent, whole: told.append((sent, whole)))
    assert (made.state, made.size, made.sha256) == ("complete", 3 * MB, sha256(file))
    assert made.file_name == "set.zip"
    assert proxy.cuts == []
    assert proxy.sent < 3.6 * MB, "what had come is not sent again"
    assert told[-1] == (3 * MB, 3 * MB)
    assert list(cache.iterdir()) == []


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
    before = proxy.sent
    with Client(proxy.url) as client:
        _until_received(client, MB)
        told: list[int] = []
        made = client.upload(file, lambda sent, whole: told.append(sent))
    assert made.sha256 == sha256(file)
    assert told[0] > MB
    assert proxy.sent - before < 2 * MB


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
    assert made.sha256 == sha256(file)


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
    partial_of(target, artifact).write_bytes(content[:MB])
    told: list[int] = []
    artifact.download(target, lambda came, whole: told.append(came))
    assert told[0] == MB
    assert target.read_bytes() == content


def test_wrong_bytes_are_not_kept(client: Client, artifact_id: str, content: bytes, tmp_path: Path) -> None:
    artifact = client.artifacts.get(artifact_id)
    target = tmp_path / "out"
    partial_of(target, artifact).write_bytes(bytes(MB))
    with pytest.raises(ChecksumMismatch):
        artifact.download(target)
    assert not target.exists()
    assert artifact.download(target).read_bytes() == content


# Events, jobs and lists


def test_events_come_once_each_over_breaks_and_wait_ends(
    proxy: BreakingProxy, dataset: Dataset, client: Client, database: Database
) -> None:
    job = client.jobs.submit(dataset, ipc=1, iterations=5)
    seen: list[tuple[int, str]] = []
    with Client(proxy.url) as watcher:
        moves = iter([("running",), ("cancelling",), ("cancelled",)])
        for event in watcher.jobs.get(job.id).events():
            seen.append((event.seq, event.type))
            proxy.cut()
            bring(database, job.id, *next(moves, ()))
        with pytest.raises(JobFailed, match="was cancelled") as failed:
            watcher.jobs.get(job.id).wait()
    assert seen == [(1, "queued"), (2, "running"), (3, "cancelling"), (4, "cancelled")]
    assert failed.value.job.id == job.id
    assert proxy.connections > 2


def test_a_job_is_made_once_although_the_answer_was_lost(
    proxy: BreakingProxy, dataset: Dataset, client: Client
) -> None:
    before = {job.id for job in client.jobs.list()}
    proxy.cuts = [("down", 1), ("down", 1)]
    with Client(proxy.url) as unlucky:
        job = unlucky.jobs.submit(dataset.id, ipc=1, iterations=5, name="once")
    assert {one.id for one in client.jobs.list()} - before == {job.id}
    assert proxy.connections == 3


def test_lists_go_over_every_page(client: Client, dataset: Dataset) -> None:
    made = [client.jobs.submit(dataset, ipc=1, iterations=5, seed=seed).id for seed in range(53)]
    assert [job.id for job in client.jobs.list(dataset=dataset)] == made[::-1]


def test_jobs_pause_go_on_and_are_deleted(client: Client, dataset: Dataset) -> None:
    job = client.jobs.submit(dataset, ipc=1, iterations=5, recipe="fast", network={"width": 16})
    assert (job.state, job.spec["recipe"], job.spec["network"]["width"]) == ("queued", "fast", 16)
    assert [job.pause().state, job.resume().state, job.cancel().state] == ["paused", "queued", "cancelled"]
    with pytest.raises(NotOffered, match="offers no 'npz', but nothing"):
        job.artifact("npz")
    job.delete()
    with pytest.raises(ApiError) as refused:
        job.refresh()
    assert (refused.value.status, refused.value.code) == (404, "not_found")


def test_an_error_says_which_field(client: Client, dataset: Dataset) -> None:
    with pytest.raises(ApiError, match=r"422 invalid_request: .*\n  /ipc: .*greater than or equal to 1"):
        client.jobs.submit(dataset, ipc=0)


# Servers that are away, busy, newer or something else


def test_a_server_that_is_away_is_named(service: Service) -> None:
    with (
        Client("http://127.0.0.1:1", retries=1) as client,
        pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1:1"),
    ):
        client.usage()
    with pytest.raises(ValueError, match="must be as http"):
        Client("localhost:8000")


class Script(BaseHTTPRequestHandler):
    """Answers that a test has written down, one a request."""

    answers: list[tuple[int, dict[str, str], bytes]]
    keys: list[str | None]

    def do_GET(self) -> None:
        self.keys.append(self.headers.get("Idempotency-Key"))
        length = int(self.headers.get("Content-Length", 0))
        self.rfile.read(length)
        status, headers, body = self.answers.pop(0)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def scripted() -> Iterator[tuple[str, type[Script]]]:
    handler = type("Scripted", (Script,), {"answers": [], "keys": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", handler
        server.shutdown()


PROBLEM = b'{"status": %d, "code": "%s", "detail": "later"}'
USAGE = (
    b'{"stored_bytes": {"uploads": 1, "datasets": 2, "checkpoints": 3, "snapshots": 0, "artifacts": 4,'
    b' "total": 10, "limit": null, "moons": 5}, "stars": 6,'
    b' "jobs": {"queued": 0, "queued_limit": 1, "running": 0, "running_limit": 1}}'
)


def test_retry_after_is_honoured_and_unknown_fields_are_kept(scripted: tuple[str, type[Script]]) -> None:
    url, script = scripted
    script.answers = [
        (503, {"Retry-After": "1"}, PROBLEM % (503, b"overloaded")),
        (429, {"Retry-After": "0"}, PROBLEM % (429, b"too_fast")),
        (502, {}, b"<html>a proxy"),
        (200, {}, USAGE),
    ]
    with Client(url) as client:
        found = client.usage()
    assert found.stored_bytes.total == 10
    assert (found.raw["stars"], found.stored_bytes.raw["moons"]) == (6, 5)


def test_a_quota_is_no_reason_to_wait(scripted: tuple[str, type[Script]]) -> None:
    url, script = scripted
    script.answers = [(429, {}, PROBLEM % (429, b"too_many_jobs"))]
    with Client(url) as client, pytest.raises(ApiError, match="429 too_many_jobs"):
        client.usage()


def test_every_try_of_a_post_has_the_same_key_and_every_call_another(
    scripted: tuple[str, type[Script]],
) -> None:
    url, script = scripted
    script.answers = [(503, {}, PROBLEM % (503, b"overloaded")), (200, {}, b"{}"), (200, {}, b"{}")]
    with Client(url) as client:
        client.post("/v1/anything", {})
        client.post("/v1/anything", {})
    first, again, other = script.keys
    assert first and first == again != other


def test_something_else_that_answers_is_named(scripted: tuple[str, type[Script]]) -> None:
    url, script = scripted
    script.answers = [
        (200, {"Content-Type": "text/html"}, b"<html>hello"),
        (302, {"Location": "/login"}, b""),
    ]
    with Client(url) as client:
        for said in ("200 text/html: <html>hello", "leads to /login"):
            with pytest.raises(UnexpectedAnswer, match=said):
                client.usage()
    script.answers = [(200, {}, b'{"jobs": {}}')]
    with Client(url) as client, pytest.raises(UnexpectedAnswer, match="older than this client"):
        client.usage()


# The other client


def test_asyncio_has_all_of_it(proxy: BreakingProxy, database: Database, file: Path, tmp_path: Path) -> None:
    async def whole_way() -> None:
        proxy.cuts = [("up", MB), ("down", 1)]
        async with AsyncClient(proxy.url) as client:
            dataset = await client.datasets.add(file, name="async")
            make_ready(database, dataset.id)
            dataset = await dataset.wait()
            assert dataset.state == "ready"
            job = await client.jobs.submit(dataset, ipc=1, iterations=5)
            other = await client.jobs.submit(dataset, ipc=1, iterations=6)
            watched = asyncio.create_task(_types(job))
            assert [one.id async for one in client.jobs.list(dataset=dataset)] == [other.id, job.id]
            assert (await job.cancel()).state == "cancelled"
            assert await watched == ["queued", "cancelled"]
            with pytest.raises(JobFailed):
                await job.wait()
            made = add_artifact(database, LocalStorage(database_folder), other.id, b"bytes" * 1000)
            path = await (await other.artifact("npz")).download(tmp_path)
            assert sha256(path) == made.sha256
            assert (await client.usage()).jobs.queued >= 1

    database_folder = Path(str(database.engine.url.database)).parent
    asyncio.run(whole_way())


async def _types(job: object) -> list[str]:
    return [event.type async for event in job.events()]  # type: ignore[attr-defined]


def test_the_package_needs_no_torch_and_nothing_of_the_server() -> None:
    code = (
        "import sys, condensery, condensery.cli\n"
        "print(*{'torch', 'safetensors', 'api', 'core', 'worker', 'fastapi'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_keys(client: Client, service: Service) -> None:
    """Last: from the first key on, every request needs one."""
    key = client.keys.create("test", scope="admin")
    assert key.token is not None and key.token not in repr(key)
    with pytest.raises(ApiError, match="401 unauth"):
        client.usage()
    with Client(service.url, key.token) as admin:
        assert [one.id for one in admin.keys.list()] == [key.id]
        reader = admin.keys.create("reader", scope="read")
        admin.keys.revoke(reader)
        assert next(admin.keys.list()).revoked_at is not None
        with Client(service.url, reader.token) as revoked, pytest.raises(ApiError, match="401"):
            revoked.usage()
    assert httpx2.get(f"{service.url}/v1/usage").status_code == 401
