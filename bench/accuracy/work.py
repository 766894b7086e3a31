"""Does what is planned and not yet recorded, one unit after another."""

import argparse
import dataclasses
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from bench.accuracy.datasets import RealSet, load
from bench.accuracy.ledger import Ledger, Record, key_of
from bench.accuracy.plan import SELECTED, Unit, about_set, images_per_class, units, whole_training
from bench.machine import cpu_name
from core.engine.baselines import herding, k_center, random_selection, train_feature_network
from core.engine.condense import condense
from core.engine.config import CondenseConfig
from core.engine.evaluate import Progress, train_and_score
from core.engine.forms.collage import collages_of, decode, grey
from core.engine.images import LabelledImages
from core.engine.pool import Pool, PoolNetwork, pool_training, train_pool_network
from core.engine.state import CondenseState, decoded, decoded_labels, synthetic_labels
from core.kinds.device import choose_device, environment
from core.trials.spec import COLLAGE_FACTOR

CHECKPOINT_SECONDS = 60
UNFINISHED = 75
"""Exit status when the budget is spent before everything is done: EX_TEMPFAIL, run again to go on."""

Result = TypeVar("Result")
Log = Callable[[str], None]


class BudgetSpent(Exception):
    """Everything done so far is on disk."""


def run(options: argparse.Namespace, log: Log) -> int:
    """Work until all is done (0) or the budget is spent (UNFINISHED)."""
    with Ledger(options.state) as ledger:
        real = load(options.dataset, options.data, options.state)
        if options.validation:
            real = real.validation()
        work = _Work(options, ledger, real, log)
        try:
            for unit in units(options, real):
                work.do(unit)
        except BudgetSpent:
            log("the budget is spent; the same command goes on from here")
            return UNFINISHED
    return 0


class _Work:
    def __init__(self, options: argparse.Namespace, ledger: Ledger, real: RealSet, log: Log) -> None:
        self._options = options
        self._ledger = ledger
        self._real = real
        self._log = log
        self._device = choose_device(options.device)
        # A condensed set of real size takes hours on one machine and seconds on another.
        self._environment = environment(self._device) | {"cpu": cpu_name()}
        self._deadline = time.monotonic() + options.budget_seconds
        self._done = 0

    def do(self, unit: Unit) -> None:
        """Train and test the unit's network, unless that is done.

        Raises:
            BudgetSpent: before it; a network in hand is trained to its end. The first unit of a run is always
                worked on, so that runs of any budget come to an end.
        """
        if self._ledger.find(kind="score", **unit.identity) is not None:
            return
        if self._done:
            self._stop_if_spent()
        training = self._training_set(unit)
        began = time.perf_counter()
        score = _finish(
            train_and_score(training, self._real.test, unit.training, unit.repeat, device=self._device)
        )
        self._ledger.add(
            {
                "kind": "score",
                **unit.identity,
                "accuracy": score.accuracy,
                "per_class": score.per_class,
                "train_loss": score.train_loss,
                "train_images": len(training[1] if isinstance(training, tuple) else training),
                "test_images": score.total,
                "seconds": time.perf_counter() - began,
                "environment": self._environment,
            }
        )
        self._done += 1
        at = f" at iteration {unit.about['at']}" if "at" in unit.about else ""
        self._log(
            f"{_name(unit.about)}{at}: network {unit.repeat + 1} ({unit.training.network.name}): "
            f"{score.accuracy:.2%} in {score.seconds:.0f} s"
        )

    def _stop_if_spent(self) -> None:
        if time.monotonic() >= self._deadline:
            raise BudgetSpent

    def _training_set(self, unit: Unit) -> tuple[Tensor, Tensor] | LabelledImages:
        about = unit.about
        if about["method"] == "whole":
            return self._real.train
        if self._ledger.find(kind="set", set=about) is None:
            if unit.condense is not None:
                self._condense(about["method"], unit.condense)
            elif about["method"] in ("random", "random-collage"):
                began = time.perf_counter()
                per_class = images_per_class(about["method"], about["ipc"], None)
                selection = random_selection(self._real.train, per_class, about["seed"])
                self._keep_selection(about, selection.indices_N, time.perf_counter() - began)
            else:
                self._select()
        found = self._ledger.load_set(about)
        if "images" in found:
            return found["images"], found["labels"]
        real, ipc = self._real.train, about["ipc"]
        if about["method"] == "random-collage":
            collages_NCHW = collages_of(real, found["indices"], ipc, COLLAGE_FACTOR, self._device)
            images_NCHW = decode(collages_NCHW, COLLAGE_FACTOR, grey(real))
            return images_NCHW, decoded_labels(real, ipc, COLLAGE_FACTOR)
        return real.normalised(found["indices"], self._device), synthetic_labels(real, ipc)

    def _select(self) -> None:
        """All selections by features that were asked for: they share the network, the costly part."""
        began = time.perf_counter()
        real, device = self._real.train, self._device
        embed = _finish(train_feature_network(real, whole_training(self._options), device=device))
        features_seconds = time.perf_counter() - began
        for method in SELECTED:
            for ipc in self._options.ipc if method in self._options.methods else ():
                about = about_set(method, ipc, None, None, self._options, self._real)
                if self._ledger.find(kind="set", set=about) is None:
                    began = time.perf_counter()
                    choose = herding if method == "herding" else k_center
                    indices_N = choose(real, ipc, embed, device=device).indices_N
                    self._keep_selection(about, indices_N, features_seconds + time.perf_counter() - began)

    def _keep_selection(self, about: dict[str, Any], indices_N: Tensor, seconds: float) -> None:
        facts = {"seconds": seconds, "environment": self._environment}
        self._ledger.add_set(about, {"indices": indices_N}, facts)
        self._log(f"{_name(about)}: selected")

    def _condense(self, method: str, config: CondenseConfig) -> None:
        """Run to the end, keeping the set and the snapshots that were asked for.

        Raises:
            BudgetSpent: after a checkpoint.
        """
        wanted = {at for at in (*self._options.snapshots, config.iterations) if at <= config.iterations}
        about = {
            at: about_set(method, config.ipc, at, config, self._options, self._real) for at in sorted(wanted)
        }
        missing = [at for at, one in about.items() if self._ledger.find(kind="set", set=one) is None]
        # Seconds of two machines make no sum.
        name = key_of([about[config.iterations], self._environment])
        path = self._ledger.folder / "checkpoints" / f"{name}.pt"
        state, seconds = _load_checkpoint(path, self._device)
        if state is not None and state.iteration >= missing[0]:
            # A snapshot that was not asked for when the run passed it.
            state, seconds = None, 0.0
        pool, pool_seconds = self._pool(config)
        saved_at = time.monotonic()
        began = time.perf_counter()
        for step in condense(self._real.train, config, device=self._device, state=state, pool=pool):
            at = step.iteration
            due = time.monotonic() - saved_at >= CHECKPOINT_SECONDS or time.monotonic() >= self._deadline
            if at not in missing and not due:
                continue
            # Reading waits for the device, so all work up to here is in the time, and no writing is.
            kept = replace(step.state, tensors={name: one.cpu() for name, one in step.state.tensors.items()})
            loss = float(step.loss)
            seconds += time.perf_counter() - began
            if at in missing:
                images_NCHW, labels_N = decoded(kept, self._real.train, config)
                facts: Record = {
                    "seconds": seconds, "pool_seconds": pool_seconds, "loss": loss,
                    "environment": self._environment,
                }  # fmt: skip
                self._ledger.add_set(about[at], {"images": images_NCHW, "labels": labels_N}, facts)
            self._log(
                f"{_name(about[config.iterations])}: iteration {at} of {config.iterations}, loss {loss:.2f}, "
                f"{seconds:.0f} s"
            )
            if at < config.iterations:
                _save_checkpoint(path, kept, seconds)
                saved_at = time.monotonic()
                self._stop_if_spent()
            began = time.perf_counter()
        path.unlink(missing_ok=True)

    def _pool(self, config: CondenseConfig) -> tuple[Pool | None, float]:
        """The networks that the configuration matches in, and the seconds that their training took.

        Raises:
            BudgetSpent: after a network.
        """
        if config.pool is None:
            return None, 0.0
        training = pool_training(config)
        networks, seconds = [], 0.0
        for repeat in range(training.networks):
            settings = dataclasses.asdict(training) | {"networks": None}
            about = {
                "dataset": self._options.dataset, "content_hash": self._real.content_hash,
                "validation": self._options.validation, "method": "pool", "training": settings,
                "repeat": repeat,
            }  # fmt: skip
            record = self._ledger.find(kind="pool", set=about)
            if record is None:
                began = time.perf_counter()
                steps = train_pool_network(self._real.train, training, repeat, device=self._device)
                weights = dict(_finish(steps).weights)
                facts = {"seconds": time.perf_counter() - began, "environment": self._environment}
                self._ledger.add_set(about, weights, facts, kind="pool")
                self._log(f"pool: network {repeat + 1} of {training.networks}: {facts['seconds']:.0f} s")
                record = self._ledger.find(kind="pool", set=about)
                self._stop_if_spent()
            assert record is not None
            networks.append(PoolNetwork(weights=self._ledger.load_set(about)))
            seconds += record["seconds"]
        return networks, seconds


def _finish(steps: Generator[Progress, None, Result]) -> Result:
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            result: Result = finished.value
            return result


def _name(about: dict[str, Any]) -> str:
    ipc = f", IPC {about['ipc']}" if about["ipc"] else ""
    return f"{about['method']}{ipc}"


def _save_checkpoint(path: Path, state: CondenseState, seconds: float) -> None:
    content = {
        "tensors": dict(state.tensors), "iteration": state.iteration, "micro_batch": state.micro_batch,
        "seconds": seconds,
    }  # fmt: skip
    part = path.with_suffix(".part")
    torch.save(content, part)
    part.replace(path)


def _load_checkpoint(path: Path, device: torch.device) -> tuple[CondenseState | None, float]:
    if not path.exists():
        return None, 0.0
    content = torch.load(path, weights_only=True, map_location=device)
    state = CondenseState(
        tensors=content["tensors"], iteration=content["iteration"], micro_batch=content["micro_batch"]
    )
    return state, float(content["seconds"])
