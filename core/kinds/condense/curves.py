"""Accuracy while the images form: networks trained on them at some iterations, as on the finished set."""

import statistics
import time
from typing import Protocol

from core.engine.evaluate import Progress, Score, train_and_score
from core.engine.state import CondenseState, decoded
from core.kinds.condense.spec import CondenseSpec
from core.kinds.work import Work
from core.trials.results import CURVE
from core.trials.spec import Entry
from core.trials.training import SmallerBatches, finish


class Reporter(Protocol):
    """Who reports the phase's progress, and counts its time."""

    def report_evaluation(self, iteration: int, evaluating: dict[str, int]) -> None: ...

    def skip(self, seconds: float) -> None: ...


class Accuracies:
    """Evaluates the images at the iterations that the spec asks for, on the job's own network only.

    Every random choice of a training has a generator of its own (core/engine/seeds.py), so the iterations
    after it come to the same bits as without it.
    """

    def __init__(self, work: Work) -> None:
        spec: CondenseSpec = work.spec
        self._work = work
        self._network = spec.network
        self._condensation = spec.condense_config()
        images = self._condensation.images_per_class * len(work.train.classes)
        self._config = work.plan.config(spec.network, images)
        self._missing = {
            (iteration, repeat)
            for iteration in spec.evaluated_at()
            for repeat in range(spec.evaluation.networks)
        }
        self._seconds: list[float] = []
        if self._missing:
            known = work.trials(CURVE)
            self._missing -= {(one.step, one.repeat) for one in known}
            self._seconds = [one.seconds for one in known if one.seconds is not None]
        self._began = 0.0
        self._share = 0.0  # of the network in hand, what is done

    def are_due(self, state: CondenseState) -> bool:
        """Whether a network is still to be trained on the images as they are now."""
        return any(iteration == state.iteration for iteration, _ in self._missing)

    def check(self, state: CondenseState, reporter: Reporter) -> None:
        """Train and test every network that is due; one that has a result is never trained twice.

        Raises:
            StopRequested: at once; the network in hand is trained anew on resume.
            NumericalError, LeaseLost
        """
        began = time.monotonic()
        for iteration, repeat in sorted(self._missing):
            if iteration == state.iteration:
                self._keep(iteration, repeat, self._train(state, repeat, reporter))
        reporter.skip(time.monotonic() - began)

    def seconds_left(self) -> float:
        """Of the networks that are still to be trained, by those that were; 0 before anything is known."""
        each = statistics.fmean(self._seconds) if self._seconds else 0.0
        if not self._seconds and self._share:
            each = (time.monotonic() - self._began) / self._share
        return each * (len(self._missing) - self._share)

    def _train(self, state: CondenseState, repeat: int, reporter: Reporter) -> Score:
        about = {"network": repeat + 1, "networks": self._config.networks}
        which = {"phase": "condense", "method": "condensed", "iteration": state.iteration, **about}
        smaller = SmallerBatches(
            lambda size: self._work.record("micro_batch_halved", {**which, "micro_batch": size})
        )

        def report(at: Progress) -> None:
            smaller.check(at)
            self._share = at.step / at.steps
            reporter.report_evaluation(state.iteration, {**about, "epoch": at.epoch, "epochs": at.epochs})

        self._began, training = time.monotonic(), decoded(state, self._work.train, self._condensation)
        steps = train_and_score(training, self._work.test, self._config, repeat, device=self._work.device)
        return finish(steps, report)

    def _keep(self, iteration: int, repeat: int, score: Score) -> None:
        entry = Entry(method="condensed", network=self._network, repeat=repeat)
        self._work.keep_point(CURVE, entry, iteration, score)
        self._missing.remove((iteration, repeat))
        self._seconds.append(score.seconds)
        self._share = 0.0
