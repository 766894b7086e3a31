"""A job's phases, from wherever its row says that it is."""

from contextlib import ExitStack

from core.data.canonical import CanonicalSet
from core.db.models import Dataset, Job
from core.engine.errors import NumericalError, OutOfMemory
from core.engine.images import LabelledImages
from core.errors import JobError
from core.jobs import queue
from core.jobs.transitions import held_by, move, require
from worker import checkpoints, condensing, evaluating, exporting
from worker.attempt import Attempt
from worker.device import choose_device, environment, make_deterministic


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
        if job.phase == "condense":
            images_NCHW = condensing.run(attempt, job, train, test, device).images_NCHW
            _enter(attempt, "evaluate")
        else:
            state = checkpoints.load_newest(attempt, job, device)
            if state is None:
                raise JobError("the finished images are gone from the storage", code="checkpoint_lost")
            images_NCHW = state.images_NCHW
        evaluating.run(attempt, job, images_NCHW, train, test, device)
    except NumericalError as error:
        raise JobError(f"{error}: a smaller lr may help", code="numerical") from error
    except OutOfMemory as error:
        advice = "a smaller image size, a narrower network or a device with more memory may help"
        if not error.splits:
            advice = f"a smaller batch_real, another norm, {advice}"
        raise JobError(f"{error}: {advice}", code="out_of_memory") from error
    with attempt.writing() as session:
        # Another queue serves the export: the device is free for the next job meanwhile.
        target = "paused" if attempt.row(session).state == "pausing" else "queued"
        handed_over = move(
            session, Job, job.id, target, *held_by(Job, attempt.lease.fence),
            data={"phase": "export"}, phase="export", setbacks={},
            result={"environment": environment(device)},
        )  # fmt: skip
        require(handed_over, job.id, attempt.lease.fence)
        if target == "queued":
            queue.ring(session, session.get_one(Job, job.id))


def _enter(attempt: Attempt, phase: str) -> None:
    with attempt.writing() as session:
        attempt.record(session, "phase", {"phase": phase}, phase=phase)
