"""An attempt at one trial of a job that another attempt holds."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.orm import Session

from core.db.models import Job, Trial
from core.engine.evaluate import Progress
from core.engine.pool import pool_training, train_pool_network
from core.errors import JobError, LeaseLost
from core.failpoints import reach
from core.kinds.device import environment
from core.kinds.environments import evaluating_on
from core.kinds.evaluating import PHASE
from core.kinds.work import GoBack
from core.trials import rows as trial_rows
from core.trials.methods import METHODS
from core.trials.results import POOL
from core.trials.spec import Entry
from core.trials.training import (
    SmallerBatches,
    config_of,
    count_of,
    finish,
    select,
    steps_of_trial,
    training_set,
)
from core.vocabulary import JOB_WITH_TRIALS
from core.work.transitions import held_by, move, record, require
from worker import pools
from worker.attempt import Attempt
from worker.inputs import Inputs, opened
from worker.problems import named_for_users
from worker.work import load_selection


def run(attempt: Attempt) -> None:
    """Train and test the network, and count it.

    Raises:
        StopRequested: its job is to stop, or this worker is.
        LeaseLost: somebody else has it, or its job has ended.
        JobError: an attempt at the job itself may say why.
    """
    with attempt.database.reading() as session:
        trial = attempt.row(session)
        assert isinstance(trial, Trial)
        job = session.get(Job, trial.job_id)
    if job is None:
        raise LeaseLost(f"{trial.id}: its job was deleted")
    with opened(attempt, job) as canonical:
        given = Inputs(attempt, job, canonical)
        with named_for_users(given):
            if trial.group == POOL:
                _train_for_pool(given, trial)
            else:
                _train(given, trial)


def _train(given: Inputs, trial: Trial) -> None:
    attempt, plan = given.attempt, given.plan
    entry = Entry(method=trial.method, network=plan.network(trial.network), repeat=trial.repeat)
    method = METHODS[entry.method]
    images = selected_N = None
    if method.of == "set":
        try:
            images = given.images()
        except GoBack as error:
            raise JobError("the finished images are damaged", code="checkpoint_lost") from error
    if method.selects and not method.by_features:
        selected_N = select(plan, entry.method, given.train, None, given.device)
    elif method.selects:
        selected_N = load_selection(given, trial.selection_key) if trial.selection_key else None
        if selected_N is None:
            raise JobError(
                "the images chosen for this trial are missing in the storage", code="selection_lost"
            )
    on = training_set(plan, entry.method, images, given.train, selected_N, given.device)
    about = {
        "method": entry.method,
        "architecture": trial.network,
        "network": entry.repeat + 1,
        "networks": plan.repeats,
    }

    report = _reporting(attempt, trial, {"phase": PHASE, **about})
    score = finish(steps_of_trial(plan, entry, on, given.test, given.device), report)
    reach("trial.trained")
    epochs = config_of(plan, entry, on).epochs
    columns = trial_rows.found(score, epochs=epochs, train_images=count_of(on))
    here = environment(given.device)

    def also(session: Session, job: Job) -> dict[str, Any]:
        return {"result": evaluating_on(job.result, here)}

    _count(attempt, trial, columns, "evaluated", trial_rows.event_of(trial, score), also)
    reach("trial.counted")


def _train_for_pool(given: Inputs, trial: Trial) -> None:
    """A network that the condensation will match in: nothing is tested."""
    attempt = given.attempt
    training = pool_training(given.spec.condense_config())
    about = {"method": POOL, "network": trial.repeat + 1, "networks": training.networks}
    began = time.monotonic()
    steps = train_pool_network(given.train, training, trial.repeat, device=given.device)
    network = finish(steps, _reporting(attempt, trial, {"phase": "pool", **about}))
    seconds = time.monotonic() - began
    reach("trial.trained")
    stored = pools.store(attempt, network)

    def also(session: Session, job: Job) -> dict[str, Any]:
        pools.keep(session, attempt, job, training, trial.repeat, seconds, stored)
        return {}

    columns = {"seconds": seconds, "epochs": training.epochs, "train_images": len(given.train)}
    _count(attempt, trial, columns, "pooled", trial_rows.pooled_event(trial), also)
    reach("trial.counted")


def _reporting(attempt: Attempt, trial: Trial, about: Mapping[str, Any]) -> Callable[[Progress], None]:
    """To be called after each training step: says that the trial lives, and ends it if it is to stop."""

    def report_smaller(size: int) -> None:
        data = {**about, "micro_batch": size}
        with attempt.writing() as session:
            record(session, Job, trial.job_id, "micro_batch_halved", data, Job.state.in_(JOB_WITH_TRIALS))

    smaller = SmallerBatches(report_smaller)

    def report(at: Progress) -> None:
        smaller.check(at)
        if attempt.due():
            with attempt.writing() as session:
                attempt.progress(session, {})
        attempt.stop_if_asked()

    return report


def _count(
    attempt: Attempt,
    trial: Trial,
    columns: Mapping[str, Any],
    event: str,
    data: Mapping[str, Any],
    also: Callable[[Session, Job], Mapping[str, Any]],
) -> None:
    """The result, and the event of its job, in one transaction.

    Args:
        also: what else belongs to it; returns values of the job's row.
    """
    with attempt.writing() as session:
        # The job first, as an attempt at it does: two that lock in different orders would wait for ever.
        job = session.get(Job, trial.job_id, populate_existing=True, with_for_update=True)
        if job is None:
            raise LeaseLost(f"{trial.id}: its job was deleted")
        mine = held_by(Trial, attempt.lease.fence)
        require(move(session, Trial, trial.id, "done", *mine, **columns), trial.id, attempt.lease.fence)
        values = also(session, job)
        living = Job.state.not_in(("cancelled", "failed", "succeeded"))
        recorded = record(session, Job, job.id, event, dict(data), living, **values)
        require(recorded, trial.id, attempt.lease.fence)
