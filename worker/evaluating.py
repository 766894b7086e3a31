"""The phase `evaluate`: the condensed set, and its PNG files, beside honest baselines, by one protocol."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
from worker.device import environment
from worker.environments import evaluating_on
from worker.pace import Pace, Training, work_of
from worker.training import to_the_end
from worker.training_sets import BY_FEATURES, TrainingSets, features


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One network to be trained and tested: on which set, of which architecture, its number from 0."""

    method: str
    network: str
    repeat: int
    config: EvaluateConfig

    @property
    def training(self) -> Training:
        return Training(method=self.method, network=self.network, repeat=self.repeat)


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
        done = {
            Training(method=one.method, network=one.network, repeat=one.repeat): one.seconds
            for one in evaluations_of(session, job)
        }
    entries = in_order(spec)
    pace = _pace(spec, entries, done, train, test)
    sets = TrainingSets(attempt, spec, images_NCHW, train, device, pace)
    for entry in entries:
        if entry.training in done:
            continue
        training_set = sets.of(entry.method)
        about = {
            "method": entry.method,
            "architecture": entry.network,
            "network": entry.repeat + 1,
            "networks": entry.config.networks,
        }
        pace.begin(entry.training)
        steps = train_and_score(training_set, test, entry.config, entry.repeat, device=device)
        score = to_the_end(attempt, steps, about, pace)
        train_images = len(training_set[1] if isinstance(training_set, tuple) else training_set)
        _keep(attempt, job, entry, train_images, score, environment(device))
        pace.end(entry.training, score.seconds)


def _pace(
    spec: JobSpec,
    entries: list[Entry],
    done: Mapping[Training, float],
    train: LabelledImages,
    test: LabelledImages,
) -> Pace:
    """Of all networks, the one for features included if it is still needed."""
    few = spec.ipc * len(train.classes)
    work = {
        entry.training: work_of(entry.config, len(train) if entry.method == "whole" else few, len(test))
        for entry in entries
    }
    if any(entry.method in BY_FEATURES for entry in entries if entry.training not in done):
        work[features(spec)] = work_of(spec.evaluate_config(whole=True), len(train), 0)
    pace = Pace(work)
    for training, seconds in done.items():
        pace.end(training, seconds)
    return pace


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


def _keep(
    attempt: Attempt, job: Job, entry: Entry, train_images: int, score: Score, here: dict[str, Any]
) -> None:
    found = {
        "method": entry.method,
        "network": entry.network,
        "repeat": entry.repeat,
        "accuracy": score.accuracy,
    }
    few = len(score.confusion) <= CONFUSION_CLASSES
    with attempt.writing() as session:
        result = evaluating_on(attempt.job(session).result, here)
        attempt.record(session, "evaluated", found, setbacks={}, result=result)
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
