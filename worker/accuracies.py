"""Accuracy while the images form: networks trained on them at some iterations, as on the finished set."""

import statistics
import time
from typing import Protocol

import torch

from core.db.models import AccuracyPoint, Job
from core.engine.evaluate import Progress, Score, train_and_score
from core.engine.images import LabelledImages
from core.engine.state import CondenseState, synthetic_labels
from core.jobs.results import accuracy_points_of
from core.jobs.spec import JobSpec
from worker.attempt import Attempt
from worker.training import Halvings, finish


class Teller(Protocol):
    """Who tells of the phase's progress, and counts its time."""

    def tell_of_evaluation(self, iteration: int, evaluating: dict[str, int]) -> None: ...

    def skip(self, seconds: float) -> None: ...


class Accuracies:
    """Evaluates the images at the iterations that the spec asks for, on the job's own network only.

    Every random choice of a training has a generator of its own (core/engine/seeds.py), so the iterations
    after it come to the same bits as without it.
    """

    def __init__(
        self, attempt: Attempt, job: Job, real: LabelledImages, test: LabelledImages, device: torch.device
    ) -> None:
        spec = JobSpec.model_validate(job.spec)
        self._attempt = attempt
        self._job = job
        self._test = test
        self._device = device
        self._labels_N = synthetic_labels(real, spec.ipc)
        self._config = spec.evaluate_config()
        self._missing = {
            (iteration, repeat)
            for iteration in spec.evaluated_at()
            for repeat in range(spec.evaluation.networks)
        }
        self._seconds: list[float] = []
        if self._missing:
            with attempt.database.reading() as session:
                known = accuracy_points_of(session, job)
            self._missing -= {(one.iteration, one.repeat) for one in known}
            self._seconds = [one.seconds for one in known]
        self._began = 0.0
        self._share = 0.0  # of the network in hand, what is done

    def are_due(self, state: CondenseState) -> bool:
        """Whether a network is still to be trained on the images as they are now."""
        return any(iteration == state.iteration for iteration, _ in self._missing)

    def look(self, state: CondenseState, teller: Teller) -> None:
        """Train and test every network that is due; one that has a row is never trained twice.

        Raises:
            StopRequested: at once; the network in hand is trained anew on resume.
            NumericalError, LeaseLost
        """
        began = time.monotonic()
        for iteration, repeat in sorted(self._missing):
            if iteration == state.iteration:
                self._keep(iteration, repeat, self._train(state, repeat, teller))
        teller.skip(time.monotonic() - began)

    def seconds_left(self) -> float:
        """Of the networks that are still to be trained, by those that were; 0 before anything is known."""
        each = statistics.fmean(self._seconds) if self._seconds else 0.0
        if not self._seconds and self._share:
            each = (time.monotonic() - self._began) / self._share
        return each * (len(self._missing) - self._share)

    def _train(self, state: CondenseState, repeat: int, teller: Teller) -> Score:
        about = {"network": repeat + 1, "networks": self._config.networks}
        halvings = Halvings(
            self._attempt, {"phase": "condense", "method": "condensed", "iteration": state.iteration, **about}
        )

        def told(at: Progress) -> None:
            halvings.look(at)
            self._share = at.step / at.steps
            teller.tell_of_evaluation(state.iteration, {**about, "epoch": at.epoch, "epochs": at.epochs})

        self._began, training = time.monotonic(), (state.images_NCHW, self._labels_N)
        return finish(train_and_score(training, self._test, self._config, repeat, device=self._device), told)

    def _keep(self, iteration: int, repeat: int, score: Score) -> None:
        found = {"iteration": iteration, "repeat": repeat, "accuracy": score.accuracy}
        with self._attempt.writing() as session:
            self._attempt.record(session, "accuracy", found, setbacks={})
            session.add(
                AccuracyPoint(
                    job_id=self._job.id, owner=self._job.owner, fence=self._attempt.lease.fence,
                    seconds=score.seconds, **found,
                )
            )  # fmt: skip
        self._missing.remove((iteration, repeat))
        self._seconds.append(score.seconds)
        self._share = 0.0
