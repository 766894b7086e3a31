"""The fault matrix: what is done to the service, and what must come of it.

Each case starts from a service at rest and returns once its jobs have ended as they must; then the checker
looks. The numbers are those of docs/reliability.md.
"""

import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx2
from tenacity import RetryError

from condensery.client import ApiError
from core.jobs.queue import WORK, make_producer
from core.settings import Settings
from tests.faults.place import JOB, Place, other_worker
from tests.support.processes import commands, parent_of, wait_for

EMBEDDED, PRODUCTION = "embedded", "production"
BOTH = (EMBEDDED, PRODUCTION)


@dataclass(frozen=True, kw_only=True)
class Case:
    number: str
    name: str
    kinds: tuple[str, ...]
    run: Callable[[Place], None]
    quick: bool


CASES: list[Case] = []


def case(
    number: str, *, kinds: tuple[str, ...] = BOTH, quick: bool = False
) -> Callable[[Callable[[Place], None]], Callable[[Place], None]]:
    """Enter a function into the matrix. `quick` ones are run in CI."""

    def enter(run: Callable[[Place], None]) -> Callable[[Place], None]:
        name = run.__name__.replace("_", " ")
        CASES.append(Case(number=number, name=name, kinds=kinds, run=run, quick=quick))
        return run

    return enter


# Processes of the worker die.


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
    wait_for(lambda: not _lives(runner), seconds=2)
    place.settle(job_id)


@case("F03", quick=True)
def kill_9_of_the_whole_worker(place: Place) -> None:
    job_id = place.submit()
    place.wait_for(job_id, "checkpoint")
    place.service.kill_worker()
    place.service.start_worker()
    place.settle(job_id)


def _at(point: str, action: str = "kill") -> Callable[[Place], None]:
    def run(place: Place) -> None:
        place.arm(point, action)
        job_id = place.submit()
        place.wait_until_sprung(point)
        place.settle(job_id)

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
    CASES.append(
        Case(
            number=_number,
            name=f"kill -9 at {_point}",
            kinds=BOTH,
            run=_at(_point),
            quick=_point == "artifacts.stored",
        )
    )
for _point in ("checkpoint.written", "artifacts.written"):
    CASES.append(
        Case(number="F28", name=f"EIO at {_point}", kinds=BOTH, run=_at(_point, "broken"), quick=False)
    )


def _ingest_at(point: str) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        place.arm(point, "kill")
        made = place.client.upload(place.digits)
        dataset = place.client.post("/v1/datasets", {"upload_id": made["id"]})
        place.wait_until_sprung(point)
        ready = place.client.wait_for_dataset(dataset["id"])
        assert ready["state"] == "ready", ready["problem"]
        hashes = place.client.get(f"/v1/datasets/{place.dataset_id}")["content_hash"]
        assert ready["content_hash"] == hashes

    return run


for _point in ("ingest.written", "ingest.stored"):
    CASES.append(
        Case(
            number="F06",
            name=f"kill -9 at {_point}",
            kinds=BOTH,
            run=_ingest_at(_point),
            quick=False,
        )
    )


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
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    place.client.post(f"/v1/jobs/{job_id}/resume")
    place.settle(job_id)
    assert "checkpoint_damaged" in place.events(job_id)


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
        wait_for(lambda: not any(_lives(pid) and _is_runner(pid) for pid in frozen))
        _end(other)


# The worker is stopped in order.


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


# Broker.


@case("F11", kinds=(PRODUCTION,))
def a_broker_that_is_killed_and_forgets_everything(place: Place) -> None:
    assert place.redis is not None
    job_ids = [place.submit() for _ in range(3)]
    place.wait_for(job_ids[0], "running")
    place.redis.end()
    place.redis.start()
    place.settle(*job_ids)


@case("F12")
def messages_are_lost_all_the_time(place: Place) -> None:
    job_ids = []
    for _ in range(3):
        job_ids.append(place.submit())
        place.service.lose_messages()
    place.settle(*job_ids)


@case("F13", kinds=(PRODUCTION,), quick=True)
def no_broker_at_all(place: Place) -> None:
    assert place.redis is not None
    place.redis.end()
    try:
        began = time.monotonic()
        job_id = place.submit()
        assert time.monotonic() - began < 1.5
        place.settle(job_id)
    finally:
        place.redis.start()


@case("F14", kinds=(PRODUCTION,))
def a_broker_that_says_nothing(place: Place) -> None:
    assert place.redis is not None
    place.redis.send(signal.SIGSTOP)
    try:
        began = time.monotonic()
        job_id = place.submit()
        assert time.monotonic() - began < 2.5
        time.sleep(2)
    finally:
        place.redis.send(signal.SIGCONT)
    place.settle(job_id)


@case("F15")
def every_message_comes_five_times(place: Place) -> None:
    job_ids = [place.submit() for _ in range(2)]
    environment = place.service.environment
    settings = Settings(
        data_dir=place.service.data_dir, broker_url=environment.get("CONDENSERY_BROKER_URL"), _env_file=None
    )
    producer = make_producer(settings)
    for queue in ("cpu", "gpu") * 10:
        producer.send_task(WORK, kwargs={"queue": queue}, queue=queue, ignore_result=True, retry=False)
    place.settle(*job_ids)
    assert [place.job(job_id)["attempts"] for job_id in job_ids] == [2, 2]  # one for each queue


@case("F16")
def two_workers_are_woken_at_once(place: Place) -> None:
    other = other_worker(place.service)
    try:
        job_ids = [place.submit() for _ in range(4)]
        place.settle(*job_ids)
        assert [place.job(job_id)["attempts"] for job_id in job_ids] == [2] * 4
    finally:
        _end(other)


# Database.


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


CASES += [
    Case(
        number="F18",
        name=f"the database is {word} and comes back",
        kinds=(PRODUCTION,),
        run=_database_ends(number),
        quick=number == signal.SIGKILL,
    )
    for word, number in (("killed", signal.SIGKILL), ("stopped", signal.SIGINT))
]


# Storage.


@case("F27")
def the_disk_is_full_for_a_while(place: Place) -> None:
    place.arm("checkpoint.begun", "full")
    job_id = place.submit()
    place.wait_until_sprung("checkpoint.begun")
    wait_for(lambda: place.job(job_id)["state"] == "queued")
    assert place.job(job_id)["setbacks"] == {"storage_full": 1}
    place.settle(job_id)


# API.


@case("F23", quick=True)
def kill_9_of_the_api_between_commit_and_wake_up(place: Place) -> None:
    place.arm("job.committed", "kill")
    before = {job["id"] for job in place.client.get("/v1/jobs")["data"]}
    try:
        place.submit()
    except httpx2.TransportError:
        pass
    else:
        raise AssertionError("the API was to die")
    place.service.start_api()
    (made,) = {job["id"] for job in place.client.get("/v1/jobs")["data"]} - before
    place.settle(made)


def _upload_at(point: str) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        before = _uploads(place)
        place.arm(point, "kill")
        try:
            place.client.upload(place.digits)
        except httpx2.TransportError:
            pass
        else:
            raise AssertionError("the API was to die")
        place.service.start_api()
        assert _uploads(place) == before
        place.client.delete(f"/v1/uploads/{place.client.upload(place.digits)['id']}")

    return run


CASES += [
    Case(number="F23", name=f"kill -9 of the API at {point}", kinds=BOTH, run=_upload_at(point), quick=False)
    for point in ("upload.received", "upload.stored")
]


@case("F24")
def an_upload_that_breaks_off(place: Place) -> None:
    before = _uploads(place)

    def body() -> Iterator[bytes]:
        yield b"x" * 100_000
        raise ConnectionError("the client is gone")

    try:
        with httpx2.Client(base_url=place.service.url) as http:
            http.put("/v1/uploads", content=body())
    except ConnectionError:
        pass
    assert _uploads(place) == before


@case("F35")
def the_same_request_twenty_times_at_once(place: Place) -> None:
    body = {"dataset_id": place.dataset_id, **JOB}
    key = f"k-{random.getrandbits(64)}"

    def post(_: int) -> httpx2.Response:
        return httpx2.post(
            f"{place.service.url}/v1/jobs", json=body, headers={"Idempotency-Key": key}, timeout=60
        )

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(post, range(20)))
    assert {answer.status_code for answer in answers} <= {200, 202, 409}
    made = {answer.json()["id"] for answer in answers if answer.status_code != 409}
    assert len(made) == 1 and sum(answer.status_code == 202 for answer in answers) == 1
    place.settle(*made)


@case("F39")
def a_stream_over_a_restart_of_the_api(place: Place) -> None:
    job_id = place.submit()
    seen: list[int] = []
    restarted = False
    for kind, event in place.client.follow(f"/v1/jobs/{job_id}"):
        if kind != "end":
            seen.append(event["seq"])
        if kind == "checkpoint" and not restarted:
            place.service.kill_api()
            place.service.start_api()
            restarted = True
    assert restarted and seen == list(range(1, len(seen) + 1))
    place.settle(job_id)


# Requests that race with the work.


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
    job_id = place.submit()
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
    wait_for(lambda: not _lives(runner), seconds=30)
    assert time.monotonic() - began < 20
    wait_for(lambda: place.job(job_id)["state"] == "cancelled")


@case("F34")
def a_data_set_is_deleted_while_a_job_needs_it(place: Place) -> None:
    job_id = place.submit()
    place.wait_for(job_id, "running")
    try:
        place.client.delete(f"/v1/datasets/{place.dataset_id}")
    except ApiError as error:
        assert error.problem["status"] == 409, error
    else:
        raise AssertionError("it must be refused")
    place.settle(job_id)


@case("F40")
def a_job_that_diverges(place: Place) -> None:
    network = {"width": 4, "depth": 2, "norm": "none"}
    job_id = place.submit(lr=1e6, momentum=0.999, iterations=400, network=network)
    place.settle(job_id, state="failed")
    assert place.job(job_id)["problem"]["code"] == "numerical"


def _uploads(place: Place) -> int:
    return len(place.client.get("/v1/uploads", limit=100)["data"])


def _answers(place: Place) -> bool:
    try:
        return httpx2.get(f"{place.service.url}/readyz").status_code == 200
    except httpx2.TransportError:
        return False


def _lives(pid: int) -> bool:
    return pid in commands()


def _is_runner(pid: int) -> bool:
    return "worker.runner" in commands().get(pid, [])


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.wait(30)
