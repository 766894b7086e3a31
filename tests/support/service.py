"""The service as real processes: API and worker, on a database and a broker of the test's choice."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import redis
from sqlalchemy import create_engine, func, select
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from condensery import Client
from core.db.migrate import upgrade
from core.db.models import Base
from core.settings import Settings
from tests.support import warm
from tests.support.databases import migrated
from tests.support.servers import free_port

ROOT = Path(__file__).parents[2]

#: Short, so that a test of a crash takes seconds; everything else is as delivered.
QUICK = {
    "CONDENSERY_LEASE_SECONDS": "4",
    "CONDENSERY_HEARTBEAT_SECONDS": "1",
    "CONDENSERY_REAP_SECONDS": "1",
    "CONDENSERY_REDISPATCH_SECONDS": "5",
    "CONDENSERY_CHECKPOINT_SECONDS": "0.5",
    "CONDENSERY_PROGRESS_SECONDS": "0.2",
}

#: The same settings as they are delivered, where times are measured.
DELIVERED = {
    name: str(Settings.model_fields[name.removeprefix("CONDENSERY_").lower()].default) for name in QUICK
}


class Service:
    """An API and a worker, each stopped, killed and started again at will."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("CONDENSERY_")}
        self.environment = inherited | QUICK | settings
        self.environment["CONDENSERY_DATA_DIR"] = str(data_dir)
        self.environment["CONDENSERY_PORT"] = str(self.port)
        self._api: warm.Process | None = None
        self._worker: warm.Process | None = None
        data_dir.mkdir(parents=True, exist_ok=True)
        self.log = data_dir / "service.log"

    def start(self) -> "Service":
        self.migrate()
        self.start_api()
        self.start_worker()
        return self

    def migrate(self) -> None:
        """What `python -m core.db.migrate` does, which `condensery up` calls, without loading all again."""
        if url := self.environment.get("CONDENSERY_DATABASE_URL"):
            upgrade(url)
        elif not (database := self.data_dir / "condensery.db").exists():
            database.write_bytes(migrated())

    def run(self, *module: str) -> "subprocess.CompletedProcess[str]":
        """Run one of the server's commands to its end."""
        return subprocess.run(
            [sys.executable, "-m", *module],
            env=self.environment,
            cwd=ROOT,
            check=True,
            text=True,
            capture_output=True,
        )

    def start_api(self) -> None:
        self._api = self.spawn("api")
        self._wait_until_ready()

    def start_worker(self) -> None:
        self._worker = self.spawn("worker")

    def stop_worker(self) -> int:
        """SIGTERM, and wait. Returns the exit status."""
        self.terminate_worker()
        return self.wait_for_worker()

    def terminate_worker(self) -> None:
        """SIGTERM."""
        assert self._worker is not None
        self._worker.terminate()

    def wait_for_worker(self) -> int:
        assert self._worker is not None
        return self._worker.wait(120)

    def kill_worker(self) -> None:
        """kill -9 of the worker's first process; the kernel takes the rest with it."""
        assert self._worker is not None
        self._worker.send_signal(signal.SIGKILL)
        self._worker.wait(120)

    def kill_api(self) -> None:
        """kill -9."""
        assert self._api is not None
        self._api.kill()
        self._api.wait(120)

    def terminate_api(self) -> None:
        """SIGTERM."""
        assert self._api is not None
        self._api.terminate()

    def stop_api(self) -> int:
        assert self._api is not None
        self._api.terminate()
        return self._api.wait(120)

    def wait_for_api(self) -> int:
        assert self._api is not None
        return self._api.wait(120)

    def stop(self) -> None:
        for process in (self._worker, self._api):
            if process is not None and process.poll() is None:
                process.terminate()
        for process in (self._worker, self._api):
            if process is not None:
                process.wait(120)

    @property
    def python(self) -> str:
        return sys.executable

    @property
    def api_pid(self) -> int:
        assert self._api is not None
        return self._api.pid

    @property
    def worker_pid(self) -> int:
        assert self._worker is not None
        return self._worker.pid

    @property
    def up_command(self) -> list[str]:
        return [sys.executable, "-m", "condensery.cli", "up", "--port", str(self.port)]

    def up(self) -> "Up":
        """`condensery up`, ready."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.up_command,
                env=self.environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._api = process
        self._wait_until_ready()
        return Up(process)

    def lose_messages(self) -> None:
        """Erase the broker."""
        if broker := self.environment.get("CONDENSERY_BROKER_URL"):
            with redis.Redis.from_url(broker) as client:
                client.flushdb()
        for message in (self.data_dir / "broker").rglob("*.msg"):
            message.unlink()

    @retry(stop=stop_after_delay(120), wait=wait_fixed(0.1), retry=retry_if_result(lambda done: not done))
    def wait_until(self, condition: Callable[[], bool]) -> bool:
        return condition()

    def client(self, api_key: str | None = None) -> Client:
        return Client(self.url, api_key)

    def blobs(self) -> list[str]:
        root = self.data_dir / "blobs"
        return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())

    def partial(self) -> dict[str, int]:
        """Bytes that have come of each upload that is still being received."""
        return {path.name: path.stat().st_size for path in (self.data_dir / "partial").iterdir()}

    def rows(self) -> dict[str, int]:
        """How many each table of the database holds of what users made."""
        address = self.environment.get("CONDENSERY_DATABASE_URL")
        engine = create_engine(address or f"sqlite+pysqlite:///{self.data_dir / 'condensery.db'}")
        try:
            with engine.connect() as connection:
                return {
                    table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                    for table in Base.metadata.sorted_tables
                    if table.name not in ("workers", "idempotency_keys", "orphans")
                }
        finally:
            engine.dispose()

    def temporary(self) -> list[str]:
        return sorted(p.name for p in (self.data_dir / "tmp").iterdir())

    def spawn(self, module: str, **environment: str) -> warm.Process:
        with self.log.open("ab") as log:
            return warm.start(module, self.environment | environment, log)

    @retry(stop=stop_after_delay(120), wait=wait_fixed(0.1), retry=retry_if_result(lambda ready: not ready))
    def _wait_until_ready(self) -> bool:
        assert self._api is not None
        assert self._api.poll() is None, self.log.read_text()
        try:
            return httpx2.get(f"{self.url}/readyz").status_code == 200
        except httpx2.TransportError:
            return False


class Up:
    """A running `condensery up`."""

    def __init__(self, process: warm.Process) -> None:
        self._process = process

    def interrupt(self) -> None:
        """Ctrl-C: the whole foreground group gets it."""
        os.killpg(self._process.pid, signal.SIGINT)

    def wait(self) -> int:
        return self._process.wait(120)


def upload_dataset(client: Client, file: Path, **options: Any) -> dict[str, Any]:
    """Upload a file and wait until its data set is ready or invalid."""
    dataset = client.post("/v1/datasets", {"upload_id": client.upload(file).id, **options})
    return wait_for_dataset(client, dataset["id"])


def wait_for_dataset(client: Client, dataset_id: str) -> dict[str, Any]:
    """The data set, once it is ready or invalid."""
    *_, (kind, dataset) = client.follow(f"/v1/datasets/{dataset_id}")
    assert kind == "end"
    return dataset


def finish(client: Client, job_id: str) -> dict[str, Any]:
    """Follow a job to its end."""
    *_, (kind, job) = client.follow(f"/v1/jobs/{job_id}")
    assert kind == "end"
    return job


def digests(client: Client, job_id: str) -> dict[str, str]:
    """SHA-256 by format of what a job offers."""
    offered = client.get(f"/v1/jobs/{job_id}/artifacts")["data"]
    return {one["format"]: one["sha256"] for one in offered}


def wait_for_event(client: Client, job_id: str, *wanted: str) -> None:
    """Until one of these events has happened. Raises AssertionError: the job ended without."""
    for kind, _ in client.follow(f"/v1/jobs/{job_id}"):
        if kind in wanted:
            return
    raise AssertionError(f"{job_id} ended without {' or '.join(wanted)}")
