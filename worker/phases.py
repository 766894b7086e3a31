"""A job's phases, from wherever its row says that it is."""

from contextlib import ExitStack

import torch
from sqlalchemy import delete

from core.data.canonical import CanonicalSet
from core.db.models import Dataset, Evaluation, Job
from core.engine.errors import NumericalError, OutOfMemory, TrainingDiverged
from core.engine.images import LabelledImages
from core.engine.memory import is_out_of_memory
from core.engine.state import CondenseState
from core.errors import JobError
from core.jobs import queue
from core.jobs.spec import JobSpec
from core.jobs.transitions import held_by, move, require
from worker import checkpoints, condensing, evaluating, exporting
from worker.attempt import Attempt
from worker.device import choose_device, make_deterministic

#: Methods of evaluation whose training set is the condensed images, in either form.
OF_THE_IMAGES = ("condensed", "png")


def run(attempt: Attempt) -> None:
    """Condense and evaluate (on the device's queue), or export (on the other).

    Raises:
        StopRequested, LeaseLost, JobError
    """
    with attempt.database.reading() as session:
        job = attempt.job(session)
        dataset = session.get(Dataset, job.dataset_id) if job.dataset_id else None
    if dataset is None or dataset.blob_prefix is None:
        raise JobError("its data set was deleted", code="dataset_deleted")
    with ExitStack() as held:
        try:
            folder = held.enter_context(attempt.storage.local_folder(dataset.blob_prefix))
        except OSError as error:
            raise JobError(f"its data set is damaged: {error}", code="corrupt_canonical_set") from error
        _run(attempt, job, dataset, CanonicalSet.open(folder))


def _run(attempt: Attempt, job: Job, dataset: Dataset, canonical: CanonicalSet) -> None:
    manifest = canonical.manifest
    train, test = (
        LabelledImages(
            images_NHWC=split.images_NHWC,
            labels_N=split.labels_N,
            mean=tuple(manifest.mean),
            std=tuple(manifest.std),
            num_classes=len(manifest.classes),
        )
        for split in (canonical.train, canonical.test)
    )
    if job.phase == "export":
        exporting.run(attempt, job, dataset, canonical, train)
        return
    make_deterministic()
    device = choose_device(attempt.settings.device)
    try:
        state = _finished(attempt, job, device)
        if state is None:
            state = condensing.run(attempt, job, train, test, device)
            _enter(attempt, "evaluate")
        evaluating.run(attempt, job, state.images_NCHW, train, test, device)
    except TrainingDiverged as error:
        advice = "the lr of an evaluation is the protocol's; another network or norm may help"
        raise JobError(f"{error}: {advice}", code="numerical") from error
    except NumericalError as error:
        raise JobError(f"{error}: a smaller lr may help", code="numerical") from error
    except (RuntimeError, MemoryError) as error:
        # What nothing could split, too, such as the network itself: the next attempt would fare no better.
        if not is_out_of_memory(error):
            raise
        what = str(error) if isinstance(error, OutOfMemory) else f"out of memory on {device} ({error})"
        advice = "a smaller image size, a narrower network or a device with more memory may help"
        if isinstance(error, OutOfMemory) and not error.splits:
            advice = f"a smaller batch_real (to condense), another norm, {advice}"
        raise JobError(f"{what}: {advice}", code="out_of_memory") from error
    with attempt.writing() as session:
        # Another queue serves the export: the device is free for the next job meanwhile.
        target = "paused" if attempt.row(session).state == "pausing" else "queued"
        handed_over = move(
            session, Job, job.id, target, *held_by(Job, attempt.lease.fence),
            data={"phase": "export"}, phase="export", setbacks={},
        )  # fmt: skip
        require(handed_over, job.id, attempt.lease.fence)
        if target == "queued":
            queue.ring(session, session.get_one(Job, job.id))


def _finished(attempt: Attempt, job: Job, device: torch.device) -> CondenseState | None:
    """The images after the last iteration; None while they are still to be made.

    If their checkpoint is damaged, the job goes back to condensing, from the one before. Accuracies of the
    images go then, too: another device would not make these again to the bit.

    Raises:
        JobError: no checkpoint is whole.
    """
    if job.phase == "condense":
        return None
    state = checkpoints.load_newest(attempt, job, device)
    if state is None:
        raise JobError("the finished images are gone from the storage", code="checkpoint_lost")
    if state.iteration == JobSpec.model_validate(job.spec).iterations:
        return state
    with attempt.writing() as session:
        attempt.record(session, "phase", {"phase": "condense"}, phase="condense")
        session.execute(
            delete(Evaluation).where(Evaluation.job_id == job.id, Evaluation.method.in_(OF_THE_IMAGES))
        )
    return None


def _enter(attempt: Attempt, phase: str) -> None:
    with attempt.writing() as session:
        attempt.record(session, "phase", {"phase": phase}, phase=phase)
