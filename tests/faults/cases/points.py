"""A process is killed, stopped or gets an I/O error between two given lines (core/failpoints.py)."""

import signal
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.faults.cases.matrix import add
from tests.faults.place import Place
from tests.support.service import wait_for_dataset


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a worker is asked for; `settle` waits until it is there, as if nothing had happened to it.

    of: what tells its cases from those of others at the same point. prepare: before anything is disturbed.
    """

    ask: Callable[[Place], str]
    settle: Callable[[Place, str], None]
    of: str = ""
    prepare: Callable[[Place], object] = lambda _: None


def _ingest(place: Place) -> str:
    made = place.client.upload(place.digits)
    return str(place.client.post("/v1/datasets", {"upload_id": made.id})["id"])


def _settle_dataset(place: Place, dataset_id: str) -> None:
    ready = wait_for_dataset(place.client, dataset_id)
    assert ready["state"] == "ready", ready["problem"]
    original = place.client.get(f"/v1/datasets/{place.dataset_id}")
    assert ready["content_hash"] == original["content_hash"]


JOB = Asked(ask=Place.submit, settle=Place.settle)
DATASET = Asked(ask=_ingest, settle=_settle_dataset)
EVALUATION = Asked(
    of=" of an evaluation",
    prepare=lambda place: place.have_done(**place.evaluation),
    ask=lambda place: place.submit(**place.evaluation),
    settle=Place.settle,
)
READ_SET = Asked(
    of=" of a set that is read",
    prepare=lambda place: place.sets,
    ask=lambda place: place.sets.read(),
    settle=lambda place, row_id: place.sets.settle(row_id),
)
MERGED_SET = replace(READ_SET, of=" of a set that is merged", ask=lambda place: place.sets.merge())


def _struck_at(point: str, action: str, asked: Asked) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        asked.prepare(place)
        place.arm(point, action)
        row_id = asked.ask(place)
        place.wait_until_sprung(point)
        asked.settle(place, row_id)

    return run


def _stopped_at(point: str, asked: Asked) -> Callable[[Place], None]:
    """SIGTERM reaches the worker while its process stands at the point."""

    def run(place: Place) -> None:
        asked.prepare(place)
        place.arm(point, "stop")
        row_id = asked.ask(place)
        place.wait_until_sprung(point)
        runner = place.runner(row_id)
        before = place.log_size()
        place.service.terminate_worker()
        place.wait_for_log("stopping", before)
        place.kill(runner, signal.SIGCONT)
        assert place.service.wait_for_worker() == 0
        place.service.start_worker()
        asked.settle(place, row_id)
        if row_id.startswith("job"):
            assert place.job(row_id)["setbacks"] == {}

    return run


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
    add(_number, f"kill -9 at {_point}", _struck_at(_point, "kill", JOB), quick=_point == "artifacts.stored")
for _point in ("ingest.written", "ingest.stored"):
    add("F06", f"kill -9 at {_point}", _struck_at(_point, "kill", DATASET))
for _point in ("condensed.written", "condensed.stored"):
    for _asked in (READ_SET, MERGED_SET):
        _quick = (_point, _asked) == ("condensed.stored", READ_SET)
        add("F06", f"kill -9 at {_point}{_asked.of}", _struck_at(_point, "kill", _asked), quick=_quick)
for _point in ("artifacts.stored", "artifacts.published"):
    _number = "F07" if _point.endswith("published") else "F06"
    add(_number, f"kill -9 at {_point}{EVALUATION.of}", _struck_at(_point, "kill", EVALUATION))
for _point in ("checkpoint.written", "artifacts.written"):
    add("F28", f"EIO at {_point}", _struck_at(_point, "broken", JOB))
add("F28", f"EIO at condensed.written{MERGED_SET.of}", _struck_at("condensed.written", "broken", MERGED_SET))
for _point in ("ingest.written", "checkpoint.begun", "blob.synced", "artifacts.written", "artifacts.stored"):
    _asked = DATASET if _point.startswith("ingest") else JOB
    add("F22", f"SIGTERM at {_point}", _stopped_at(_point, _asked))
add("F22", f"SIGTERM at condensed.written{READ_SET.of}", _stopped_at("condensed.written", READ_SET))
