"""The phase `pool`: networks trained on the real training split, by whichever workers are free.

Networks that an earlier job has trained in the same way on the same data are not trained again.
"""

import time

from core.engine.evaluate import Progress
from core.engine.pool import pool_training, train_pool_network
from core.kinds.condense.spec import CondenseSpec
from core.kinds.work import TrialState, Work
from core.trials.results import POOL
from core.trials.spec import Entry
from core.trials.training import SmallerBatches, finish

PHASE = "pool"
#: Between two polls of what others do, when nothing is left to take.
WAIT_SECONDS = 0.25


def run(work: Work) -> None:
    """Have every network of the pool trained that is not yet.

    Raises:
        StopRequested: at once; the network in hand is trained anew on resume.
        TrainingDiverged, OutOfMemory
    """
    _Pooling(work).run()


class _Pooling:
    def __init__(self, work: Work) -> None:
        spec: CondenseSpec = work.spec
        self._work, self._network = work, spec.network
        self._training = pool_training(spec.condense_config())
        self._began = time.monotonic()

    def run(self) -> None:
        self._offer()
        while (trial := self._next()) is not None:
            if trial.state == "waiting":
                if self._work.take_trial(trial.id):
                    self._train(trial)
            else:  # all that is left is in the hands of others
                self._report("waiting for networks that other workers train")
                time.sleep(WAIT_SECONDS)

    def _offer(self) -> None:
        missing = set(range(self._training.networks)) - self._work.pooled(self._training)
        offered = {one.repeat for one in self._work.trials(POOL)}
        entries = {n: Entry(method=POOL, network=self._network, repeat=n) for n in sorted(missing - offered)}
        if entries:
            self._work.offer_trials(POOL, entries)

    def _next(self) -> TrialState | None:
        """The first that nobody has begun; else one that somebody is at; None if all are done."""
        left = [one for one in self._work.trials(POOL) if one.state != "done"]
        return next((one for one in left if one.state == "waiting"), next(iter(left), None))

    def _train(self, trial: TrialState) -> None:
        about = {"method": POOL, "network": trial.repeat + 1, "networks": self._training.networks}
        smaller = SmallerBatches(
            lambda size: self._work.record(
                "micro_batch_halved", {"phase": PHASE, **about, "micro_batch": size}
            )
        )

        def report(at: Progress) -> None:
            smaller.check(at)
            share = at.step / at.steps
            self._report(f"network {trial.repeat + 1}, epoch {at.epoch:,} of {at.epochs:,}", share)

        began = time.monotonic()
        steps = train_pool_network(self._work.train, self._training, trial.repeat, device=self._work.device)
        network = finish(steps, report)
        seconds = time.monotonic() - began
        self._work.keep_pooled(trial.id, self._training, trial.repeat, network, seconds)

    def _report(self, now: str, share: float = 0.0) -> None:
        """A progress report if one is due.

        Raises:
            StopRequested: the attempt was asked to stop.
        """
        if self._work.due():
            total = self._training.networks
            done = total - sum(one.state != "done" for one in self._work.trials(POOL))
            mine = done + share
            elapsed = time.monotonic() - self._began
            left = elapsed / share * (total - mine) if share else None
            text = f"{done} of {total} networks of the pool trained; now {now}"
            self._work.report(min(mine, total), total, text, seconds_left=left)
        self._work.stop_if_asked()
