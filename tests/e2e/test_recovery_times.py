"""How soon a dead worker's job runs again, and a cancelled one is gone, at the settings as delivered."""

import os
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.conftest import settings_of
from tests.support.processes import lives, runner_of, wait_for
from tests.support.service import DELIVERED, Service, upload_dataset, wait_for_event

#: Far more than the test waits for.
ENDLESS = {
    "ipc": 1,
    "iterations": 1_000_000,
    "batch_real": 16,
    "network": {"width": 8, "depth": 2},
    "evaluation": {"networks": 1, "epochs": 1, "baselines": []},
}


@pytest.mark.skipif(
    not os.environ.get("CONDENSERY_TEST_SLOW"), reason="two minutes: set CONDENSERY_TEST_SLOW"
)
@pytest.mark.parametrize("kind", ["embedded", "production"])
def test_recovery_times(kind: str, request: pytest.FixtureRequest, tmp_path: Path, digits_zip: Path) -> None:
    with ExitStack() as stack:
        settings = settings_of(kind, request, stack, 1)
        service = Service(tmp_path / "data", **settings, **DELIVERED, CONDENSERY_DEVICE="cpu").start()
        stack.callback(service.stop)
        client = stack.enter_context(service.client())
        dataset = upload_dataset(client, digits_zip)
        job_id = str(client.post("/v1/jobs", {"dataset_id": dataset["id"], **ENDLESS})["id"])
        wait_for_event(client, job_id, "progress")

        def states() -> list[str]:
            found = client.get(f"/v1/jobs/{job_id}/events", limit=100)["data"]
            return [event["type"] for event in found if event["type"] in ("queued", "running")]

        service.kill_worker()
        killed = time.monotonic()
        service.start_worker()
        wait_for(lambda: len(states()) > 2, seconds=100)
        noticed = time.monotonic() - killed
        wait_for(lambda: len(states()) > 3, seconds=100)
        running = time.monotonic() - killed
        runner = wait_for(lambda: runner_of(job_id))
        assert runner is not None
        wait_for_event(client, job_id, "progress")
        client.post(f"/v1/jobs/{job_id}/cancel")
        asked = time.monotonic()
        wait_for(lambda: not lives(runner))
        gone = time.monotonic() - asked
        print(
            f"{kind}: noticed after {noticed:.1f} s, running after {running:.1f} s, cancelled in {gone:.1f} s"
        )
        assert noticed <= 75 and running <= 90 and gone <= 20
