"""The phase `evaluate`: the condensed set, and its PNG files, beside honest baselines, by one protocol."""

from dataclasses import dataclass

import torch
from torch import Tensor

from core.db.models import Evaluation, Job
from core.engine.config import EvaluateConfig
from core.engine.evaluate import Score, train_and_score
from core.engine.images import LabelledImages
from core.ids import new_id
from core.jobs.results import CONFUSION_CLASSES, evaluations_of
from core.jobs.spec import JobSpec
from worker.attempt import Attempt
from worker.training import to_the_end
from worker.training_sets import TrainingSets


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One network to be trained and tested: on which set, of which architecture, its number from 0."""

    method: str
    network: str
    repeat: int
    config: EvaluateConfig


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
        done = {(one.method, one.network, one.repeat) for one in evaluations_of(session, job)}
    sets = TrainingSets(attempt, spec, images_NCHW, train, device)
    for entry in in_order(spec):
        if (entry.method, entry.network, entry.repeat) in done:
            continue
        training = sets.of(entry.method)
        about = {
            "method": entry.method,
            "architecture": entry.network,
            "network": entry.repeat + 1,
            "networks": entry.config.networks,
        }
        steps = train_and_score(training, test, entry.config, entry.repeat, device=device)
        score = to_the_end(attempt, steps, about)
        _keep(attempt, job, entry, len(training[1] if isinstance(training, tuple) else training), score)


def in_order(spec: JobSpec) -> list[Entry]:
    """All networks to be trained, so that a comparison of everything is there early.

    First one network of each method and architecture on ipc images per class, then their repeats, and last
    the costly whole set, on the job's own network only.
    """
    small = [
        "condensed",
        "png",
        *(m for m in ("random", "herding", "k-center") if m in spec.evaluation.baselines),
    ]
    own, *further = spec.architectures()
    entries = [
        Entry(method=method, network=on.network_name(), repeat=repeat, config=on.evaluate_config())
        for repeat in range(spec.evaluation.networks)
        for on in (own, *further)
        for method in small
    ]
    if "whole" in spec.evaluation.baselines:
        whole = own.evaluate_config(whole=True)
        entries += [
            Entry(method="whole", network=own.network_name(), repeat=repeat, config=whole)
            for repeat in range(spec.evaluation.networks)
        ]
    return entries


def _keep(attempt: Attempt, job: Job, entry: Entry, train_images: int, score: Score) -> None:
    found = {
        "method": entry.method,
        "network": entry.network,
        "repeat": entry.repeat,
        "accuracy": score.accuracy,
    }
    few = len(score.confusion) <= CONFUSION_CLASSES
    with attempt.writing() as session:
        attempt.record(session, "evaluated", found, setbacks={})
        session.add(
            Evaluation(
                id=new_id("ev"),
                job_id=job.id,
                owner=job.owner,
                fence=attempt.lease.fence,
                epochs=entry.config.epochs,
                train_images=train_images,
                per_class=list(score.per_class),
                confusion=[list(row) for row in score.confusion] if few else None,
                seconds=score.seconds,
                **found,
            )
        )
