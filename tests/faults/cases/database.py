"""The database goes away, stops taking writes, or its answer to a COMMIT is lost."""

import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import httpx2

from tests.faults.cases.matrix import PRODUCTION, add, case
from tests.faults.place import JOB, Place
from tests.support.processes import lives, wait_for


def _database_ends(number: int) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        assert place.postgres is not None
        job_id = place.submit()
        place.wait_for(job_id, "checkpoint")
        place.postgres.end(number)
        time.sleep(random.uniform(0, 3))
        place.postgres.start()
        wait_for(lambda: _answers(place))
        place.settle(job_id)

    return run


add(
    "F18", "the database is killed and comes back", _database_ends(signal.SIGKILL),
    kinds=(PRODUCTION,), quick=True,
)  # fmt: skip
add("F18", "the database is stopped and comes back", _database_ends(signal.SIGINT), kinds=(PRODUCTION,))


@case("F18", kinds=(PRODUCTION,), quick=True)
def the_database_says_nothing_for_a_while(place: Place) -> None:
    assert place.proxy is not None
    job_id = place.submit()
    place.wait_for(job_id, "checkpoint")
    runner = place.runner(job_id)
    with place.proxy.silent():
        # Its lease may be another's by now, and its device is wanted.
        wait_for(lambda: not lives(runner), seconds=30)
    wait_for(lambda: _answers(place))
    place.settle(job_id)


@case("F19", kinds=(PRODUCTION,))
def the_answer_to_the_commit_of_a_submission_is_lost(place: Place) -> None:
    assert place.proxy is not None
    before = {job["id"] for job in place.client.get("/v1/jobs", limit=100)["data"]}
    body, key = {"dataset_id": place.dataset_id, **JOB}, f"k-{random.getrandbits(64)}"
    answers: list[httpx2.Response] = []

    def post() -> bool:
        url = f"{place.service.url}/v1/jobs"
        answers.append(httpx2.post(url, json=body, headers={"Idempotency-Key": key}, timeout=60))
        return answers[-1].status_code in (200, 202)

    # Whose COMMIT is next is left to chance: the worker's heartbeats and sweeps are cut as well.
    with place.proxy.cut_commits(3):
        wait_for(post)
    assert {answer.status_code for answer in answers} <= {200, 202, 503}
    after = {job["id"] for job in place.client.get("/v1/jobs", limit=100)["data"]}
    assert after - before == {answers[-1].json()["id"]}
    place.settle(answers[-1].json()["id"])


@case("F19", kinds=(PRODUCTION,))
def the_answer_to_the_commit_that_publishes_is_lost(place: Place) -> None:
    assert place.proxy is not None
    place.arm("artifacts.stored", "stop")
    job_id = place.submit()
    place.wait_until_sprung("artifacts.stored")
    runner = place.runner(job_id)
    with place.proxy.cut_commits(5):
        place.kill(runner, signal.SIGCONT)
        place.settle(job_id)


@case("F19", kinds=(PRODUCTION,))
def answers_to_commits_are_lost_all_the_time(place: Place) -> None:
    assert place.proxy is not None
    job_id = place.submit()
    for _ in range(4):
        with place.proxy.cut_commits(1):
            time.sleep(random.uniform(2, 4))
    place.settle(job_id)


@case("F20", kinds=(PRODUCTION,))
def the_database_takes_no_writes_for_a_while(place: Place) -> None:
    job_id = place.submit()
    place.wait_for(job_id, "checkpoint")
    place.set_read_only("on")
    try:
        # Connections learn of it when they are used next.
        refused = wait_for(lambda: _refused(place))
        assert refused is not None and "Retry-After" in refused.headers
        time.sleep(random.uniform(0, 4))
    finally:
        place.set_read_only("off")
    place.settle(job_id)


def _refused(place: Place) -> httpx2.Response | None:
    body = {"dataset_id": place.dataset_id, **JOB}
    answer = httpx2.post(f"{place.service.url}/v1/jobs", json=body, timeout=60)
    if answer.status_code == 503:
        return answer
    answer.raise_for_status()
    place.settle(answer.json()["id"])
    return None


def _answers(place: Place) -> bool:
    with suppress(httpx2.TransportError):
        return httpx2.get(f"{place.service.url}/readyz").status_code == 200
    return False
