"""The phase `evaluate`: the condensed set beside honest baselines, by one protocol."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from core.db.models import Evaluation, Job
from core.engine.baselines import random_selection
from core.engine.condense import synthetic_labels
from core.engine.config import EvaluateConfig
from core.engine.evaluate import Score, train_and_score
from core.engine.images import LabelledImages
from core.ids import new_id
from core.jobs.results import evaluations_of
from core.jobs.spec import JobSpec
from worker.attempt import Attempt

TrainingSet = tuple[Tensor, Tensor] | LabelledImages


def run(
    attempt: Attempt,
    job: Job,
    images_NCHW: Tensor,
    train: LabelledImages,
    test: LabelledImages,
    device: torch.device,
) -> None:
    """Train and test every network that has no evaluation row yet; a network is never trained twice.

    Raises:
        StopRequested: at once; the network in hand is trained anew on resume.
    """
    spec = JobSpec.model_validate(job.spec)
    with attempt.database.reading() as session:
        done = {(one.method, one.repeat) for one in evaluations_of(session, job)}
    for method, make, config in _contestants(spec, images_NCHW, train, device):
        missing = [repeat for repeat in range(config.networks) if (method, repeat) not in done]
        if not missing:
            continue
        training = make()
        for repeat in missing:
            score = _train_one(attempt, method, training, test, config, repeat, device)
            _keep(attempt, job, spec, method, len(_labels(training)), config, repeat, score)


def _contestants(
    spec: JobSpec, images_NCHW: Tensor, train: LabelledImages, device: torch.device
) -> Iterator[tuple[str, Callable[[], TrainingSet], EvaluateConfig]]:
    labels_N = synthetic_labels(train, spec.ipc)

    def random() -> TrainingSet:
        chosen = random_selection(train, spec.ipc, spec.seed).indices_N
        return train.normalised(chosen, device), labels_N

    yield "condensed", lambda: (images_NCHW, labels_N), spec.evaluate_config()
    if "random" in spec.evaluation.baselines:
        yield "random", random, spec.evaluate_config()
    if "whole" in spec.evaluation.baselines:
        yield "whole", lambda: train, spec.evaluate_config(whole=True)


def _train_one(
    attempt: Attempt,
    method: str,
    training: TrainingSet,
    test: LabelledImages,
    config: EvaluateConfig,
    repeat: int,
    device: torch.device,
) -> Score:
    steps = train_and_score(training, test, config, repeat, device=device)
    while True:
        try:
            at = next(steps)
        except StopIteration as finished:
            score: Score = finished.value
            return score
        if attempt.due():
            progress = {
                "phase": "evaluate",
                "method": method,
                "network": repeat + 1,
                "networks": config.networks,
                "epoch": at.epoch,
                "epochs": at.epochs,
            }
            with attempt.writing() as session:
                attempt.progress(session, progress)
        attempt.stop_if_told()


def _keep(
    attempt: Attempt,
    job: Job,
    spec: JobSpec,
    method: str,
    train_images: int,
    config: EvaluateConfig,
    repeat: int,
    score: Score,
) -> None:
    found = {"method": method, "network": spec.network_name(), "repeat": repeat, "accuracy": score.accuracy}
    with attempt.writing() as session:
        attempt.record(session, "evaluated", found, failures=0)
        session.add(
            Evaluation(
                id=new_id("ev"),
                job_id=job.id,
                owner=job.owner,
                fence=attempt.lease.fence,
                epochs=config.epochs,
                train_images=train_images,
                per_class=list(score.per_class),
                seconds=score.seconds,
                **found,
            )
        )


def _labels(training: TrainingSet) -> Tensor | LabelledImages:
    return training[1] if isinstance(training, tuple) else training
