"""Condensed sets are read, merged, evaluated and deleted, and whoever is at it dies, or freezes and comes
back."""

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from condensery import ApiError
from tests.faults.cases.matrix import add, case
from tests.faults.place import Place, refusal
from tests.faults.sets import Sets
from tests.support.processes import lives, wait_for


def _killed(ask: Callable[[Sets], str]) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        sets = place.sets
        place.arm("condensed.chosen", "stop")
        set_id = ask(sets)
        runner = place.runner(set_id)
        place.service.kill_worker()
        wait_for(lambda: not lives(runner))
        place.service.start_worker()
        sets.settle(set_id)

    return run


add("F03", "kill 9 of the whole worker while it reads a set", _killed(Sets.read))
add("F03", "kill 9 of the whole worker while it merges sets", _killed(Sets.merge))


@case("F03")
def kill_9_of_the_whole_worker_in_an_evaluation(place: Place) -> None:
    place.have_done(**place.evaluation)
    job_id = place.submit(**place.evaluation)
    place.wait_for(job_id, "evaluated")
    place.service.kill_worker()
    place.service.start_worker()
    place.settle(job_id)


@case("F08")
def a_set_that_kills_its_worker_every_time(place: Place) -> None:
    sets = place.sets
    place.arm("condensed.written", "kill always")
    try:
        set_id = sets.read()
        sets.settle(set_id, state="invalid")
    finally:
        place.disarm("condensed.written")
    problem = sets.get(set_id)["problem"]
    assert problem["code"] == "worker_lost" and "3 attempts" in problem["detail"], problem
    sets.settle(sets.read())


def _comes_back(*, deleted: bool) -> Callable[[Place], None]:
    """Somebody wakes up with a set that another is reading by now, or that was deleted since."""

    def run(place: Place) -> None:
        sets = place.sets
        set_id, stale = _read_by_one(place)
        place.freeze(*place.crew.processes_of(place.crew.worker_of(stale)) - {stale})
        place.arm("condensed.written", "stop")
        reader = wait_for(lambda: place.crew.stopped_with(set_id) - {stale})
        if deleted:
            place.thaw(*reader)
            sets.settle(set_id)
            sets.delete(set_id)
        before = _row(place, set_id)
        place.thaw(stale)
        wait_for(lambda: not lives(stale))
        after = _row(place, set_id)
        # Who reads it now is stopped, and has not made it ready; a third may have.
        assert (after["state"] == "reading" or after["fence"] > before["fence"]) if before else not after
        place.crew.thaw()
        if not deleted:
            sets.settle(set_id)

    return run


def _read_by_one(place: Place) -> tuple[str, int]:
    """A set that is read, and not stored yet; and the process that stands there."""
    place.arm("condensed.written", "stop")
    set_id = place.sets.read()
    place.wait_until_sprung("condensed.written")
    (runner,) = wait_for(lambda: place.crew.stopped_with(set_id))
    return set_id, runner


def _row(place: Place, set_id: str) -> dict[str, Any]:
    """Empty once it is deleted."""
    return next((row for row in place.evidence.rows("condensed_sets") if row["id"] == set_id), {})


for _deleted, _name in ((False, "another one reads"), (True, "was deleted")):
    add(
        "F10", f"a frozen worker comes back to a set that {_name}",
        _comes_back(deleted=_deleted), others=1,
    )  # fmt: skip


@case("F34")
def a_set_is_deleted_while_it_is_read(place: Place) -> None:
    sets = place.sets
    set_id, _ = _read_by_one(place)
    # Nobody looks now whether its lease has run out, as on a machine that is too busy it may have.
    place.freeze(place.service.worker_pid)
    if _row(place, set_id)["lease_until"] is not None:
        assert refusal(lambda: sets.delete(set_id)) == 409
    assert refusal(lambda: place.client.delete(f"/v1/uploads/{sets.upload_id}")) == 409
    place.crew.thaw()
    sets.settle(set_id)
    sets.delete(set_id)
    assert refusal(lambda: sets.get(set_id)) == 404


@case("F34")
def a_set_is_deleted_while_it_is_merged(place: Place) -> None:
    sets = place.sets
    parent = sets.read()
    sets.settle(parent)
    place.arm("condensed.written", "stop")
    set_id = sets.merge(sets.made, parent)
    place.wait_until_sprung("condensed.written")
    assert refusal(lambda: sets.delete(parent)) == 409
    place.thaw(place.runner(set_id))
    sets.settle(set_id)
    sets.delete(parent)
    sets.settle(set_id)  # what was merged of it stays


@case("F34")
def a_set_is_deleted_while_an_evaluation_needs_it(place: Place) -> None:
    sets = place.sets
    place.have_done(**place.evaluation)
    set_id = sets.read()
    sets.settle(set_id)
    made_by = sets.get(sets.made)["job_id"]
    of_it, of_the_made = (
        place.submit(**place.evaluation | {"condensed_set_id": one}) for one in (set_id, sets.made)
    )
    assert refusal(lambda: sets.delete(set_id)) == 409
    assert refusal(lambda: sets.delete(sets.made)) == 409
    assert refusal(lambda: place.client.delete(f"/v1/jobs/{made_by}")) == 409
    place.settle(of_it, of_the_made)
    sets.delete(set_id)
    place.settle(of_it)  # what was found out of it stays


@case("F34")
def a_set_is_deleted_at_any_moment(place: Place) -> None:
    sets = place.sets
    for ask in (sets.read, sets.merge):
        set_id = ask()
        time.sleep(random.uniform(0, 2))
        try:
            sets.delete(set_id)
        except ApiError as error:
            assert error.status == 409, error
            sets.settle(set_id)
        else:
            assert refusal(partial(sets.get, set_id)) == 404
