"""The phase made of trials, of any kind: a set of images beside honest baselines, by one protocol.

The attempt at the job offers its trials to every free worker, does them itself one after the other, and ends
once all are done, whoever did them.
"""

import time
from collections.abc import Generator
from typing import Any, TypeVar

from torch import Tensor

from core.engine.baselines import Embed, train_feature_network
from core.engine.config import EvaluateConfig
from core.engine.evaluate import Progress
from core.kinds.work import TrialState, Work
from core.trials.methods import METHODS
from core.trials.results import FINAL
from core.trials.spec import Entry
from core.trials.time_left import TimeLeft, Training, work_of
from core.trials.training import (
    SmallerBatches,
    config_of,
    count_of,
    finish,
    select,
    steps_of_trial,
    training_set,
)

PHASE = "evaluate"
#: Between two polls of what others do, when nothing is left to take.
WAIT_SECONDS = 0.25

Trained = TypeVar("Trained")


def run(work: Work) -> None:
    """Have every network trained and tested that is not yet; one with a result is never trained again.

    Raises:
        StopRequested: at once; the network in hand is trained anew on resume.
        TrainingDiverged, OutOfMemory, GoBack
    """
    _Evaluation(work).run()


class _Evaluation:
    def __init__(self, work: Work) -> None:
        self._work = work
        self._plan = work.plan
        self._images = work.images()
        self._entries = self._plan.entries()
        self._places = {_key(entry): n for n, entry in enumerate(self._entries)}
        self._selected: dict[str, Tensor] = {}
        self._embed: Embed | None = None
        self._states: dict[Training, TrialState] = {}
        self._left = TimeLeft(self._work_of_all())
        self._ended: set[Training] = set()

    def run(self) -> None:
        self._learn()
        self._offer([m for m in METHODS if not METHODS[m].by_features])
        while (entry := self._next()) is not None:
            state = self._states.get(_key(entry))
            if state is None:
                self._offer([entry.method])
            elif state.state == "waiting":
                if self._work.take_trial(state.id):
                    self._train(entry, state)
            else:  # all that is left is in the hands of others
                self._report("waiting for networks that other workers train")
                time.sleep(WAIT_SECONDS)
            self._learn()

    def _next(self) -> Entry | None:
        """The first that nobody has begun; else one that somebody is at; None if all are done."""
        states = [(entry, self._states.get(_key(entry))) for entry in self._entries]
        free = (entry for entry, state in states if state is None or state.state == "waiting")
        begun = (entry for entry, state in states if state is not None and state.state == "running")
        return next(free, None) or next(begun, None)

    def _learn(self) -> None:
        """What has become of the trials, by this attempt and others."""
        for one in self._work.trials(FINAL):
            training = Training(method=one.method, network=one.network, repeat=one.repeat)
            self._states[training] = one
            if one.state == "done" and training in self._places and training not in self._ended:
                self._ended.add(training)
                self._left.end(training, one.seconds or 0.0)

    def _offer(self, methods: list[str]) -> None:
        """Let others do the trials of these methods, on images that are chosen once for all."""
        for method in methods:
            entries = {
                n: entry
                for n, entry in enumerate(self._entries)
                if entry.method == method and _key(entry) not in self._states
            }
            if entries:
                name = None
                if METHODS[method].by_features:
                    name = self._work.store_selection(method, self._selection(method, None))
                self._work.offer_trials(FINAL, entries, name)
        self._learn()

    def _train(self, entry: Entry, state: TrialState) -> None:
        selected_N = None
        if METHODS[entry.method].selects:
            selected_N = self._selection(entry.method, state.selection)
        on = training_set(
            self._plan, entry.method, self._images, self._work.train, selected_N, self._work.device
        )
        self._left.begin(_key(entry))
        steps = steps_of_trial(self._plan, entry, on, self._work.test, self._work.device)
        score = self._to_the_end(
            steps, entry.method, _key(entry).network, entry.repeat + 1, self._plan.repeats
        )
        epochs = config_of(self._plan, entry, on).epochs
        self._work.finish_trial(state.id, score, epochs=epochs, train_images=count_of(on))

    def _selection(self, method: str, name: str | None) -> Tensor:
        if method not in self._selected:
            found = self._work.load_selection(name) if name is not None else None
            self._selected[method] = self._select(method) if found is None else found
        return self._selected[method]

    def _select(self, method: str) -> Tensor:
        embed = None
        if METHODS[method].by_features:
            trained = self._feature_network()

            def embed(x_NCHW: Tensor) -> Tensor:
                # Epoch 0: nothing is trained on the selection yet.
                epochs = self._plan.config(self._plan.networks[0], self._plan.ipc).epochs
                self._report_training(method, self._own, 1, 1, 0, epochs)
                return trained(x_NCHW)

        return select(self._plan, method, self._work.train, embed, self._work.device)

    def _feature_network(self) -> Embed:
        """The first network, trained on the whole split: once, for all methods that look at features."""
        if self._embed is None:
            config = self._features_config
            steps = train_feature_network(self._work.train, config, device=self._work.device)
            training, began = self._features, time.monotonic()
            self._left.expect(training, work_of(config, len(self._work.train), 0))
            self._left.begin(training)
            self._embed = self._to_the_end(steps, "features", self._own, 1, 1)
            self._left.end(training, time.monotonic() - began)
        return self._embed

    def _to_the_end(
        self, steps: Generator[Progress, None, Trained], method: str, network: str, number: int, networks: int
    ) -> Trained:
        about = {"method": method, "architecture": network, "network": number, "networks": networks}
        smaller = SmallerBatches(
            lambda size: self._work.record(
                "micro_batch_halved", {"phase": PHASE, **about, "micro_batch": size}
            )
        )

        def report(at: Progress) -> None:
            smaller.check(at)
            self._left.step(at.step / at.steps)
            self._report_training(method, network, number, networks, at.epoch, at.epochs)

        return finish(steps, report)

    def _report_training(
        self, method: str, network: str, number: int, networks: int, epoch: int, epochs: int
    ) -> None:
        label = METHODS[method].label if method in METHODS else "a network for features"
        self._report(
            f"{label}, epoch {epoch:,} of {epochs:,}",
            epoch / epochs,
            method=method,
            architecture=network,
            network=number,
            networks=networks,
            epoch=epoch,
            epochs=epochs,
        )

    def _report(self, now: str, share: float = 0.0, **facts: Any) -> None:
        """A progress report if one is due.

        Raises:
            StopRequested: the attempt was asked to stop.
        """
        if self._work.due():
            self._learn()
            done, total = len(self._ended), len(self._entries)
            others = sum(one.state == "running" for one in self._states.values())
            self._work.report(
                min(done + share, total),
                total,
                f"{done} of {total} networks trained and tested; now {now}",
                seconds_left=self._left.seconds_left(max(1, others)),
                **facts,
            )
        self._work.stop_if_asked()

    def _work_of_all(self) -> dict[Training, float]:
        train, test = self._work.train, self._work.test
        work = {}
        for entry in self._entries:
            whole = METHODS[entry.method].of == "whole"
            few = self._plan.trained_per_class(entry.method) * len(train.classes)
            images = len(train) if whole else few
            config = self._plan.config(entry.network, images, whole=whole)
            work[_key(entry)] = work_of(config, images, len(test))
        offered = {one.method for one in self._work.trials(FINAL)}
        if any(METHODS[one.method].by_features and one.method not in offered for one in self._entries):
            config = self._features_config
            work[self._features] = work_of(config, len(train), 0)
        return work

    @property
    def _own(self) -> str:
        return self._plan.networks[0].label()

    @property
    def _features_config(self) -> EvaluateConfig:
        return self._plan.config(self._plan.networks[0], len(self._work.train), whole=True)

    @property
    def _features(self) -> Training:
        return Training(method="features", network=self._own, repeat=0)


def _key(entry: Entry) -> Training:
    return Training(method=entry.method, network=entry.network.label(), repeat=entry.repeat)
