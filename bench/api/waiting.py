"""From the answer to a submission until an idle worker has the job, by the database's clock."""

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

from condensery import Client
from examples.digits import write_zip
from tests.support.databases import migrated_postgres
from tests.support.servers import postgres, redis_server
from tests.support.service import Service, finish, upload_dataset

JOBS = 20
#: Seconds, median and longest, that are aimed at.
GOALS = {"PostgreSQL and Redis": (0.1, 0.5), "embedded": (1.5, 1.5)}
_JOB = {
    "ipc": 1,
    "iterations": 1,
    "batch_real": 8,
    "network": {"width": 4, "depth": 2},
    "evaluation": {"networks": 1, "epochs": 1, "baselines": []},
}


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Seconds from queued to running, of jobs one after the other."""

    median: float
    longest: float


def measure(folder: Path) -> dict[str, Waiting]:
    """With PostgreSQL and Redis, and embedded. A worker and an API as delivered."""
    with ExitStack() as stack:
        server = stack.enter_context(postgres(durable=True))
        url = stack.enter_context(migrated_postgres(server))
        broker = stack.enter_context(redis_server())
        production = _measure(
            Service(folder / "p", CONDENSERY_DATABASE_URL=url, CONDENSERY_BROKER_URL=broker)
        )
    return dict(zip(GOALS, (production, _measure(Service(folder / "e"))), strict=True))


def _measure(service: Service) -> Waiting:
    try:
        service.start()
        write_zip(service.data_dir / "digits.zip")
        with service.client() as client:
            dataset = upload_dataset(client, service.data_dir / "digits.zip")
            seconds = [_one(client, str(dataset["id"])) for _ in range(JOBS)]
    finally:
        service.stop()
    return Waiting(median=median(seconds), longest=max(seconds))


def _one(client: Client, dataset_id: str) -> float:
    job_id = str(client.post("/v1/jobs", {"dataset_id": dataset_id, **_JOB})["id"])
    finish(client, job_id)
    events = client.get(f"/v1/jobs/{job_id}/events", limit=100)["data"]
    queued, running = (
        next(datetime.fromisoformat(event["created_at"]) for event in events if event["type"] == state)
        for state in ("queued", "running")
    )
    return (running - queued).total_seconds()
