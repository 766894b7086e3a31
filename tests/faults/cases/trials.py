"""Workers train networks for a job that another one holds. They die, freeze, come back; or the job stops."""

from collections.abc import Callable
from typing import Any

from tests.faults.cases.matrix import PRODUCTION, add, case
from tests.faults.cases.requests import pause_and_resume
from tests.faults.crew import Hold
from tests.faults.place import SETTLE_SECONDS, Place, refusal
from tests.support.processes import lives, wait_for

#: Twelve networks, of half a second or so each.
SHARED: dict[str, Any] = {
    "iterations": 20,
    "evaluation": {"networks": 4, "epochs": 80, "baselines": ["random"]},
}
#: Sixty, each trained in a moment.
MANY: dict[str, Any] = {
    "iterations": 20,
    "evaluation": {"networks": 20, "epochs": 2, "baselines": ["random"]},
}
#: On a busy machine a job may end before other workers have loaded what they need. Then another is tried.
_JOBS = 5


def _until_shared(place: Place, look: Callable[[str], bool], spec: dict[str, Any] = SHARED) -> str:
    """A job of which others than its own worker take trials, as `look` sees."""
    for _ in range(_JOBS):
        job_id = place.submit(**spec)

        def looked(job_id: str = job_id) -> bool:
            return look(job_id) or place.has_ended(job_id)

        wait_for(looked, seconds=SETTLE_SECONDS)
        if look(job_id):
            return job_id
        place.settle(job_id)
    raise AssertionError(f"no other worker took a network of {_JOBS} jobs")


def _in_mid_training(place: Place, count: int = 1) -> tuple[str, list[Hold]]:
    """So many trials of a job in others' hands, each frozen somewhere between claim and result."""
    held: list[Hold] = []

    def look(job_id: str) -> bool:
        held[:] = [hold for hold in held if not place.crew.has_changed_hands(hold)]
        if len(held) < count and (hold := place.crew.take_hold(job_id, but=[one.trial_id for one in held])):
            held.append(hold)
        return len(held) == count

    return _until_shared(place, look), held


def _trained(place: Place) -> tuple[str, Hold]:
    """A trial of a job in another's hands: its network is trained and tested, and not counted yet."""
    place.arm("trial.trained", "stop")
    held: list[Hold] = []

    def look(job_id: str) -> bool:
        held[:] = place.crew.stopped_with_a_trial(job_id)
        return bool(held)

    return _until_shared(place, look), held[0]


@case("F03", others=1)
def kill_9_of_a_worker_that_trains_for_the_job_of_another(place: Place) -> None:
    place.have_done(**SHARED)
    job_id, (hold,) = _in_mid_training(place)
    place.crew.kill(place.crew.worker_of(hold.runner))
    place.settle(job_id)
    trial = place.crew.trial(hold.trial_id)
    assert trial is not None and "worker_lost" in trial["setbacks"], trial


@case("F03", others=1)
def kill_9_of_the_worker_of_a_job_while_another_trains_for_it(place: Place) -> None:
    place.have_done(**SHARED)
    job_id, (hold,) = _in_mid_training(place)
    before = place.job(job_id)["attempts"]
    place.crew.kill(place.crew.worker_of(place.runner(job_id)))

    def has_gone_on() -> bool:
        """The next attempt has taken what was left to take."""
        rows = [row for row in place.crew.trials(job_id) if row["id"] != hold.trial_id]
        return place.job(job_id)["attempts"] > before and (
            any((row["job_fence"] or 0) > before for row in rows)
            or all(row["state"] == "done" for row in rows)
        )

    wait_for(has_gone_on, seconds=SETTLE_SECONDS)
    place.thaw(hold.runner)
    place.settle(job_id)
    trial = place.crew.trial(hold.trial_id)
    # Whoever trains it goes on and is counted, unless a machine that is too busy took its own lease.
    assert trial is not None and (place.crew.was_counted(hold) or "worker_lost" in trial["setbacks"]), trial


def _killed_at(point: str) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        place.have_done(**SHARED)
        place.arm(point, "kill")
        place.settle(_until_shared(place, lambda _: place.has_sprung(point)))

    return run


add("F06", "kill -9 at trial.trained", _killed_at("trial.trained"), others=1)
add("F07", "kill -9 at trial.counted", _killed_at("trial.counted"), others=1)


@case("F08", others=1)
def networks_that_kill_every_other_worker(place: Place) -> None:
    """They are left to the job's own attempt."""
    place.have_done(**SHARED)
    place.arm("trial.trained", "kill always")

    def somebody_died(job_id: str) -> bool:
        return any("worker_lost" in row["setbacks"] for row in place.crew.trials(job_id))

    try:
        job_id = _until_shared(place, somebody_died)
        place.settle(job_id)
        assert all(row["job_fence"] is not None for row in place.crew.trials(job_id))
    finally:
        place.disarm("trial.trained")


def _comes_back(*, to_another: bool) -> Callable[[Place], None]:
    """Somebody wakes up with the result of a trial that is in other hands by now: the job's own attempt's, or
    another worker's."""

    def run(place: Place) -> None:
        place.have_done(**SHARED)
        job_id, stale = _trained(place)
        place.freeze(*place.crew.processes_of(place.crew.worker_of(stale.runner)) - {stale.runner})
        if to_another:
            # It takes whatever waits.
            place.freeze(place.runner(job_id))
        taken: list[Hold] = []

        def is_taken() -> bool:
            if hold := place.crew.take_hold_again(stale):
                taken.append(hold)
            row = place.crew.trial(stale.trial_id)
            return bool(taken) or row is None or row["state"] == "done"

        wait_for(is_taken, seconds=SETTLE_SECONDS)
        place.thaw(stale.runner)
        wait_for(lambda: not lives(stale.runner))
        assert not any(map(place.crew.was_counted, taken)), place.crew.trial(stale.trial_id)
        place.crew.thaw()
        place.settle(job_id)

    return run


add(
    "F10", "a frozen worker comes back to a trial that the job's own attempt has",
    _comes_back(to_another=False), others=1,
)  # fmt: skip


@case("F16", kinds=(PRODUCTION,), others=1)
def a_trial_is_taken_between_the_choice_and_the_claim_of_another(place: Place) -> None:
    """SQLite has one writer at a time: there nobody comes in between."""
    place.have_done(**SHARED)
    place.arm("trial.chosen", "stop")
    job_id = _until_shared(place, lambda _: place.has_sprung("trial.chosen"))
    place.settle(job_id)
    place.crew.thaw()
    # It stood in a transaction, which ends once it knows.
    wait_for(place.evidence.transactions_end)


@case("F19", kinds=(PRODUCTION,), others=1)
def the_answer_to_the_commit_that_counts_a_network_is_lost(place: Place) -> None:
    assert place.proxy is not None
    place.have_done(**SHARED)
    job_id, hold = _trained(place)
    with place.proxy.cut_commits(5):
        place.thaw(hold.runner)
        place.settle(job_id)


@case("F32", others=1)
def pause_and_resume_at_any_moment_while_others_train(place: Place) -> None:
    place.have_done(**SHARED)
    pause_and_resume(place, place.submit(**SHARED))


@case("F34", others=1)
def a_job_is_deleted_while_another_worker_has_a_network_of_it(place: Place) -> None:
    place.have_done(**SHARED)
    job_id, hold = _trained(place)
    place.client.post(f"/v1/jobs/{job_id}/cancel")
    wait_for(lambda: place.job(job_id)["state"] == "cancelled")
    place.client.delete(f"/v1/jobs/{job_id}")
    place.thaw(hold.runner)
    wait_for(lambda: not lives(hold.runner))
    assert refusal(lambda: place.job(job_id)) == 404
    place.settle(place.submit())


add(
    "F10", "a frozen worker comes back to a trial that another worker has",
    _comes_back(to_another=True), others=2,
)  # fmt: skip


@case("F16", others=2)
def three_workers_take_the_networks_of_a_job(place: Place) -> None:
    place.have_done(**MANY)

    def others_did_some(job_id: str) -> bool:
        done = [row for row in place.crew.trials(job_id) if row["state"] == "done"]
        return any(row["job_fence"] is None for row in done)

    for _ in range(3):
        place.settle(_until_shared(place, others_did_some, MANY))


@case("F32", others=2)
def a_pause_while_three_workers_train_for_a_job(place: Place) -> None:
    place.have_done(**SHARED)
    job_id, (hold, hung) = _in_mid_training(place, 2)
    place.client.post(f"/v1/jobs/{job_id}/pause")
    place.thaw(hold.runner)
    wait_for(lambda: place.job(job_id)["state"] == "paused")
    # One ends by itself, the other has to be killed.
    wait_for(lambda: not lives(hold.runner) and not lives(hung.runner))
    wait_for(lambda: place.crew.nobody_has_any(job_id))
    place.client.post(f"/v1/jobs/{job_id}/resume")
    place.settle(job_id)


@case("F33", others=2)
def a_cancel_while_the_devices_of_others_do_not_answer(place: Place) -> None:
    place.have_done(**SHARED)
    job_id, held = _in_mid_training(place, 2)
    place.client.post(f"/v1/jobs/{job_id}/cancel")
    wait_for(lambda: place.job(job_id)["state"] == "cancelled")
    wait_for(lambda: not any(lives(hold.runner) for hold in held))
    wait_for(lambda: place.crew.nobody_has_any(job_id))
    assert place.digests(job_id) == {}
    place.settle(place.submit())
