"""The disk is full, or gives back other bytes than it was given."""

import random

from tests.faults.cases.matrix import case
from tests.faults.place import JOB, Place
from tests.support.processes import wait_for


@case("F05")
def a_damaged_newest_checkpoint(place: Place) -> None:
    job_id = place.submit(iterations=JOB["iterations"])
    place.wait_for(job_id, "checkpoint")
    wait_for(lambda: place.events(job_id).count("checkpoint") >= 2)
    place.client.post(f"/v1/jobs/{job_id}/pause")
    wait_for(lambda: place.job(job_id)["state"] == "paused")
    newest = max(
        (place.service.data_dir / "blobs" / "jobs" / job_id).rglob("checkpoint-*"), key=lambda p: p.name
    )
    content = newest.read_bytes()
    damaged = {
        "a bit": content[:-1] + bytes([content[-1] ^ 1]),
        "torn": content[: len(content) // 2],
        "empty": b"",
    }
    newest.write_bytes(random.choice(list(damaged.values())))
    place.client.post(f"/v1/jobs/{job_id}/resume")
    place.settle(job_id)
    assert "checkpoint_damaged" in place.events(job_id)


@case("F27")
def the_disk_is_full_for_a_while(place: Place) -> None:
    place.arm("checkpoint.begun", "full")
    job_id = place.submit()
    place.wait_until_sprung("checkpoint.begun")
    wait_for(lambda: place.job(job_id)["state"] == "queued")
    assert place.job(job_id)["setbacks"] == {"storage_full": 1}
    place.settle(job_id)
