"""What tests of the client and of the command line share: an API without a worker, and its database."""

import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from condensery import Client, Dataset
from condensery.cli import app
from core.db.session import Database
from tests.support.api import make_ready
from tests.support.breaking_proxy import BreakingProxy
from tests.support.service import Service

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """An API without a worker."""
    running = Service(tmp_path_factory.mktemp("client") / "data")
    running.migrate()
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
    path.write_bytes(os.urandom(3_000_000))
    return path


@pytest.fixture
def dataset(client: Client, database: Database, file: Path) -> Dataset:
    made = client.datasets.add(file)
    make_ready(database, made.id)
    return made.wait()


@pytest.fixture
def run(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `condensery …` in a folder and a home directory of its own."""
    for name in [name for name in os.environ if name.startswith("CONDENSERY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CONDENSERY_SERVER", service.url)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Result:
        done = CliRunner().invoke(app, words)
        assert "Traceback" not in done.output, done.output
        return done

    return run


class Script(BaseHTTPRequestHandler):
    """Answers that a test has written down, one a request; `asked` are method, path and body of each."""

    answers: list[tuple[int, dict[str, str], bytes]]
    keys: list[str | None]
    asked: list[tuple[str, str, bytes]]

    def do_GET(self) -> None:
        self.keys.append(self.headers.get("Idempotency-Key"))
        length = int(self.headers.get("Content-Length", 0))
        self.asked.append((self.command, self.path, self.rfile.read(length)))
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
    handler = type("Scripted", (Script,), {"answers": [], "keys": [], "asked": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", handler
        server.shutdown()
