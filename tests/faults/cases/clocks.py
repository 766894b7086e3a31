"""Clocks are wrong, and jump."""

import random

from tests.faults.cases.matrix import PRODUCTION, case
from tests.faults.place import Place, end

_HOUR = 3600


@case("F30", kinds=(PRODUCTION,))
def a_worker_whose_clock_is_wrong_and_jumps(place: Place) -> None:
    place.service.stop_worker()
    clock = place.folder / "clock of a worker"
    place.set_clock(clock, random.choice((-_HOUR, _HOUR)))
    other = place.service.spawn("worker", CLOCK_OFFSET=str(clock))
    try:
        job_id = place.submit()
        place.wait_for(job_id, "checkpoint")
        place.set_clock(clock, random.randrange(-_HOUR, _HOUR))
        place.settle(job_id)
    finally:
        end(other)
        place.service.start_worker()
    job = place.job(job_id)
    assert job["setbacks"] == {} and job["attempts"] == 2, place.events(job_id)


@case("F31")
def the_clock_of_the_database_jumps_by_an_hour(place: Place) -> None:
    job_id = place.submit()
    place.wait_for(job_id, "checkpoint")
    place.set_clock(place.clock, _HOUR)
    try:
        place.settle(job_id)
    finally:
        place.set_clock(place.clock, 0)
    # Every lease has run out at once: one attempt more, of the phase it was in.
    assert place.job(job_id)["attempts"] <= 3, place.events(job_id)
