"""What every measurement needs: PostgreSQL, Redis, the API and the bare endpoint, and rows to ask for."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from sqlalchemy import make_url
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from core.db.models import Dataset
from core.db.session import Database
from core.ids import new_id
from tests.support.api import make_ready, token_of
from tests.support.databases import migrated_postgres
from tests.support.leased import add_job
from tests.support.servers import free_port, postgres, redis_server
from tests.support.service import ROOT, Service

OWNER = "bench"
#: Bytes of one upload, and of all that the owner may store.
LARGEST, STORED = 1 << 30, 1 << 40


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Running servers, and a key of an owner with one data set and one job."""

    service: Service
    bare: str
    database: Database
    token: str
    dataset_id: str
    job_id: str
    http: httpx2.Client
    """Of the owner."""

    @property
    def job(self) -> str:
        """Address of the job."""
        return f"{self.service.url}/v1/jobs/{self.job_id}"


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """Everything started, and stopped afterwards."""
    with postgres(durable=True) as server, migrated_postgres(server) as url, redis_server() as broker:
        # Those of jobs and streams are above what is measured; an upload can be larger than either allows.
        limits = {
            "CONDENSERY_OWNER_STREAMS": "5000",
            "CONDENSERY_OWNER_QUEUED_JOBS": "1000000",
            "CONDENSERY_OWNER_STORED_BYTES": str(STORED),
            "CONDENSERY_MAX_UPLOAD_BYTES": str(LARGEST),
        }
        service = Service(
            folder / "data", CONDENSERY_DATABASE_URL=url, CONDENSERY_BROKER_URL=broker, **limits
        )
        database = Database(make_url(url).render_as_string(hide_password=False))
        service.start_api()
        port = free_port()
        command = [sys.executable, "-m", "bench.api.bare", str(port)]
        bare = subprocess.Popen(command, env=service.environment, cwd=ROOT)  # noqa: S603
        http = httpx2.Client(timeout=60)
        try:
            token = token_of(database, OWNER, "write")
            http.headers["Authorization"] = f"Bearer {token}"
            with database.writing() as session:
                dataset = Dataset(id=new_id("ds"), owner=OWNER, name="bench", state="ingesting")
                session.add(dataset)
            make_ready(database, dataset.id)
            with database.writing() as session:
                job_id = add_job(session, owner=OWNER, dataset_id=dataset.id).id
            made = Stage(
                service=service,
                bare=f"http://127.0.0.1:{port}/jobs/{job_id}",
                database=database,
                token=token,
                dataset_id=dataset.id,
                job_id=job_id,
                http=http,
            )
            _wait(made.bare)
            yield made
        finally:
            http.close()
            bare.terminate()
            bare.wait(30)
            service.stop()
            database.engine.dispose()


@retry(stop=stop_after_delay(30), wait=wait_fixed(0.1), retry=retry_if_exception_type(httpx2.TransportError))
def _wait(url: str) -> None:
    httpx2.get(url).raise_for_status()
