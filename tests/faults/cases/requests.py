"""Requests that race with the work, and work that cannot succeed."""

import random
import signal
import time

from condensery import ApiError
from tests.faults.cases.matrix import case
from tests.faults.place import Place, refusal
from tests.support.processes import lives, wait_for


@case("F32")
def a_cancel_at_any_moment(place: Place) -> None:
    job_id = place.submit()
    time.sleep(random.uniform(0, 8))
    try:
        place.client.post(f"/v1/jobs/{job_id}/cancel")
    except ApiError as error:
        assert error.problem["job_state"] == "succeeded", error
        place.settle(job_id)
        return
    wait_for(lambda: place.job(job_id)["finished_at"] is not None, seconds=60)
    job = place.job(job_id)
    assert job["state"] == "cancelled", job["state"]
    assert place.digests(job_id) == {}


@case("F32")
def pause_and_resume_at_any_moment(place: Place) -> None:
    pause_and_resume(place, place.submit())


def pause_and_resume(place: Place, job_id: str) -> None:
    for _ in range(5):
        time.sleep(random.uniform(0, 2))
        for action in ("pause", "resume"):
            try:
                place.client.post(f"/v1/jobs/{job_id}/{action}")
            except ApiError as error:
                assert error.problem["status"] == 409, error
    wait_for(lambda: place.job(job_id)["state"] != "pausing", seconds=60)
    if place.job(job_id)["state"] == "paused":
        place.client.post(f"/v1/jobs/{job_id}/resume")
    place.settle(job_id)


@case("F33")
def a_cancel_while_the_device_does_not_answer(place: Place) -> None:
    job_id = place.submit()
    place.wait_for(job_id, "checkpoint")
    runner = place.runner(job_id)
    place.kill(runner, signal.SIGSTOP)
    began = time.monotonic()
    place.client.post(f"/v1/jobs/{job_id}/cancel")
    wait_for(lambda: not lives(runner), seconds=30)
    assert time.monotonic() - began < 20
    wait_for(lambda: place.job(job_id)["state"] == "cancelled")


@case("F34")
def a_data_set_is_deleted_while_a_job_needs_it(place: Place) -> None:
    job_id = place.submit()
    place.wait_for(job_id, "running")
    assert refusal(lambda: place.client.delete(f"/v1/datasets/{place.dataset_id}")) == 409
    place.settle(job_id)


@case("F40")
def a_job_that_diverges(place: Place) -> None:
    network = {"width": 4, "depth": 2, "norm": "none"}
    job_id = place.submit(lr=1e6, momentum=0.999, iterations=400, network=network)
    place.settle(job_id, state="failed")
    assert place.job(job_id)["problem"]["code"] == "numerical"
