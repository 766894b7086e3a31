"""An attempt at one trial of a job that another attempt holds."""

from collections.abc import Mapping
from typing import Any

from core.db.models import Job, Trial
from core.errors import JobError, LeaseLost
from core.failpoints import reach
from core.kinds.device import environment
from core.kinds.environments import evaluating_on
from core.kinds.evaluating import PHASE
from core.kinds.work import GoBack
from core.trials import rows as trial_rows
from core.trials.methods import METHODS
from core.trials.spec import Entry
from core.trials.training import SmallerBatches, finish, select, steps_of_trial, training_set
from core.vocabulary import JOB_WITH_TRIALS
from core.work.transitions import held_by, move, record, require
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
    if method.of == "selection" and not method.by_features:
        selected_N = select(plan, entry.method, given.train, None, given.device)
    elif method.of == "selection":
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

    def report_smaller(size: int) -> None:
        data = {"phase": PHASE, **about, "micro_batch": size}
        with attempt.writing() as session:
            record(session, Job, trial.job_id, "micro_batch_halved", data, Job.state.in_(JOB_WITH_TRIALS))

    smaller = SmallerBatches(report_smaller)

    def report(at: Any) -> None:
        smaller.check(at)
        if attempt.due():
            with attempt.writing() as session:
                attempt.progress(session, {})
        attempt.stop_if_asked()

    score = finish(steps_of_trial(plan, entry, on, given.test, given.device), report)
    config = plan.config(entry.network, whole=method.of == "whole")
    images_count = len(on[1] if isinstance(on, tuple) else on)
    reach("trial.trained")
    columns = trial_rows.found(score, epochs=config.epochs, train_images=images_count)
    _count(attempt, trial, columns, trial_rows.event_of(trial, score), environment(given.device))
    reach("trial.counted")


def _count(
    attempt: Attempt,
    trial: Trial,
    columns: Mapping[str, Any],
    event: Mapping[str, Any],
    here: dict[str, Any],
) -> None:
    """The result, and the event of its job, in one transaction."""
    with attempt.writing() as session:
        # The job first, as an attempt at it does: two that lock in different orders would wait for ever.
        job = session.get(Job, trial.job_id, populate_existing=True, with_for_update=True)
        if job is None:
            raise LeaseLost(f"{trial.id}: its job was deleted")
        mine = held_by(Trial, attempt.lease.fence)
        require(move(session, Trial, trial.id, "done", *mine, **columns), trial.id, attempt.lease.fence)
        result = evaluating_on(job.result, here)
        living = Job.state.not_in(("cancelled", "failed", "succeeded"))
        recorded = record(session, Job, job.id, "evaluated", dict(event), living, result=result)
        require(recorded, trial.id, attempt.lease.fence)
