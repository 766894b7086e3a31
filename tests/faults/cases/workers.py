"""Processes of the worker die, hang, are stopped, and are there twice."""

import random
import signal
import time

from tenacity import RetryError

from tests.faults.cases.matrix import PRODUCTION, case
from tests.faults.place import Place, end, other_worker
from tests.support.processes import descendants, is_runner, lives, parent_of, wait_for


@case("F01")
def kill_9_of_the_runner_in_mid_step(place: Place) -> None:
    job_id = place.submit()
    place.wait_for(job_id, "checkpoint")
    time.sleep(random.uniform(0, 0.5))
    place.kill(place.runner(job_id))
    place.settle(job_id)


@case("F02")
def kill_9_of_the_process_that_supervises(place: Place) -> None:
    job_id = place.submit()
    place.wait_for(job_id, "checkpoint")
    runner = place.runner(job_id)
    place.kill(parent_of(runner))
    wait_for(lambda: not lives(runner), seconds=20)
    place.settle(job_id)


@case("F03", quick=True)
def kill_9_of_the_whole_worker(place: Place) -> None:
    job_id = place.submit()
    place.wait_for(job_id, "checkpoint")
    place.service.kill_worker()
    place.service.start_worker()
    place.settle(job_id)


@case("F08")
def a_job_that_kills_its_worker_every_time(place: Place) -> None:
    place.arm("checkpoint.begun", "kill always")
    job_id = place.submit()
    try:
        place.settle(job_id, state="failed")
    finally:
        place.disarm("checkpoint.begun")
    problem = place.job(job_id)["problem"]
    assert problem["code"] == "worker_lost" and "3 attempts" in problem["detail"], problem
    place.settle(place.submit())


@case("F09")
def a_runner_that_hangs(place: Place) -> None:
    job_id = place.submit()
    place.wait_for(job_id, "checkpoint")
    place.kill(place.runner(job_id), signal.SIGSTOP)
    place.settle(job_id)


@case("F10", quick=True)
def a_worker_that_is_frozen_for_longer_than_its_lease(place: Place) -> None:
    job_id = place.submit()
    place.wait_for(job_id, "checkpoint")
    frozen = place.processes()
    for pid in frozen:
        place.kill(pid, signal.SIGSTOP)
    other = other_worker(place.service)
    try:
        place.settle(job_id)
    finally:
        for pid in frozen:
            place.kill(pid, signal.SIGCONT)
        # The fenced one must have noticed before the checker looks.
        wait_for(lambda: not any(lives(pid) and is_runner(pid) for pid in frozen))
        end(other)


@case("F22")
def workers_are_restarted_again_and_again(place: Place) -> None:
    job_id = place.submit()
    for _ in range(4):
        try:
            wait_for(lambda: place.job(job_id)["state"] != "queued", seconds=20)
        except RetryError:
            break
        time.sleep(random.uniform(0, 1))
        assert place.service.stop_worker() == 0
        place.service.start_worker()
    place.settle(job_id)
    assert place.job(job_id)["setbacks"] == {}


@case("F36")
def three_workers_sweep_and_one_dies(place: Place) -> None:
    others = [other_worker(place.service) for _ in range(2)]
    try:
        job_id = place.submit()
        place.wait_for(job_id, "checkpoint")
        place.kill(parent_of(place.runner(job_id)))
        place.settle(job_id)
        job = place.job(job_id)
        # One for the attempt that died, one more for condensing, one for the export: swept once, not thrice.
        assert job["attempts"] == 3, place.events(job_id)
    finally:
        for other in others:
            end(other)


@case("F37")
def a_worker_of_another_version_than_the_database(place: Place) -> None:
    statement = "UPDATE alembic_version SET version_num = '{}'"
    (version,) = (row["version_num"] for row in place.evidence.rows("alembic_version"))
    place.execute(statement.format("newer"))
    try:
        before = place.log_size()
        job_id = place.submit()
        place.wait_for_log("takes no work", before)
        assert place.job(job_id)["state"] == "queued"
    finally:
        place.execute(statement.format(version))
    place.settle(job_id)


@case("F10", kinds=(PRODUCTION,))
def a_worker_that_is_frozen_in_the_middle_of_a_claim(place: Place) -> None:
    """It stands in a transaction, and whoever else wants to claim waits for that. (With SQLite all is on one
    machine, and so is whoever may kill it.)"""
    frozen = place.processes()
    other = other_worker(place.service)
    place.arm("job.chosen", "stop")
    try:
        job_id = place.submit()
        place.wait_until_sprung("job.chosen")
        place.settle(job_id)
    finally:
        place.thaw(*frozen, *descendants(other.pid))
        end(other)
