"""A process is killed, stopped or gets an I/O error between two given lines (core/failpoints.py)."""

import signal
from collections.abc import Callable

from tests.faults.cases.matrix import add
from tests.faults.place import Place
from tests.support.service import wait_for_dataset


def _job_at(point: str, action: str) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        place.arm(point, action)
        job_id = place.submit()
        place.wait_until_sprung(point)
        place.settle(job_id)

    return run


def _ingest_at(point: str, action: str) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        place.arm(point, action)
        dataset_id = _ingest(place)
        place.wait_until_sprung(point)
        _settle_dataset(place, dataset_id)

    return run


def _stopped_at(point: str) -> Callable[[Place], None]:
    """SIGTERM reaches the worker while its process stands at the point."""

    def run(place: Place) -> None:
        place.arm(point, "stop")
        row_id = _ingest(place) if point.startswith("ingest") else place.submit()
        place.wait_until_sprung(point)
        runner = place.runner(row_id)
        before = place.log_size()
        place.service.terminate_worker()
        place.wait_for_log("stopping", before)
        place.kill(runner, signal.SIGCONT)
        assert place.service.wait_for_worker() == 0
        place.service.start_worker()
        if point.startswith("ingest"):
            _settle_dataset(place, row_id)
        else:
            place.settle(row_id)
            assert place.job(row_id)["setbacks"] == {}

    return run


def _ingest(place: Place) -> str:
    made = place.client.upload(place.digits)
    return str(place.client.post("/v1/datasets", {"upload_id": made.id})["id"])


def _settle_dataset(place: Place, dataset_id: str) -> None:
    ready = wait_for_dataset(place.client, dataset_id)
    assert ready["state"] == "ready", ready["problem"]
    original = place.client.get(f"/v1/datasets/{place.dataset_id}")
    assert ready["content_hash"] == original["content_hash"]


for _point, _number in (
    ("claim.committed", "F21"),
    ("checkpoint.begun", "F04"),
    ("checkpoint.written", "F04"),
    ("blob.synced", "F04"),
    ("blob.renamed", "F04"),
    ("checkpoint.stored", "F04"),
    ("checkpoint.recorded", "F04"),
    ("artifacts.written", "F06"),
    ("artifacts.stored", "F06"),
    ("artifacts.published", "F07"),
):
    add(_number, f"kill -9 at {_point}", _job_at(_point, "kill"), quick=_point == "artifacts.stored")
for _point in ("ingest.written", "ingest.stored"):
    add("F06", f"kill -9 at {_point}", _ingest_at(_point, "kill"))
for _point in ("checkpoint.written", "artifacts.written"):
    add("F28", f"EIO at {_point}", _job_at(_point, "broken"))
for _point in ("ingest.written", "checkpoint.begun", "blob.synced", "artifacts.written", "artifacts.stored"):
    add("F22", f"SIGTERM at {_point}", _stopped_at(_point))
