"""The broker loses, repeats, dies, says nothing."""

import random
import signal
import time

from core.settings import Settings
from core.work.wake_ups import WORK, make_producer
from tests.faults.cases.matrix import PRODUCTION, case
from tests.faults.place import Place, end, other_worker


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


@case("F17")
def three_messages_in_ten_are_lost(place: Place) -> None:
    job_ids = []
    for _ in range(4):
        job_ids.append(place.submit())
        if random.random() < 0.3:
            place.service.lose_messages()
    place.settle(*job_ids)


@case("F13", kinds=(PRODUCTION,), quick=True)
def no_broker_at_all(place: Place) -> None:
    assert place.redis is not None
    place.redis.end()
    try:
        began = time.monotonic()
        job_id = place.submit()
        assert time.monotonic() - began < 5  # by its defaults: 6
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
        assert time.monotonic() - began < 5  # by its defaults: 15
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
        end(other)
