"""Which networks are to be trained on which sets: everything that `run` was asked for, in order."""

import argparse
import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.accuracy.datasets import VALIDATION_PER_CLASS, RealSet
from core.engine.config import CondenseConfig, EvaluateConfig, NetworkConfig, PoolConfig
from core.engine.protocols import PROTOCOLS, fitting
from core.engine.recipes import RECIPES
from core.engine.sources import SOURCES
from core.trials.methods import BASELINES
from core.trials.methods import METHODS as METHODS_OF_TRIALS
from core.trials.spec import AUTO, COLLAGE_FACTOR

CONDENSED = tuple(RECIPES)
METHODS = (*(name for name in BASELINES if name != "whole"), *CONDENSED, "whole")
SELECTED = ("herding", "k-center")

CROSS_NETWORKS = tuple(NetworkConfig(name=name, norm="batch") for name in ("alexnet", "vgg11", "resnet18"))


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One network to be trained and tested.

    Attributes:
        about: everything that decides the training set, as plain JSON: its identity in the ledger.
        condense: of a condensed set, the run that makes it.
        training: its `networks` decides nothing here.
        repeat: the network's number from 0.
    """

    about: dict[str, Any]
    condense: CondenseConfig | None
    training: EvaluateConfig
    repeat: int

    @property
    def identity(self) -> dict[str, Any]:
        return {"set": self.about, "training": training_settings(self.training), "repeat": self.repeat}


def training_settings(config: EvaluateConfig) -> dict[str, Any]:
    """As plain JSON, without the number of networks: one more network changes none of the others."""
    settings = dataclasses.asdict(config)
    del settings["networks"]
    return settings | {"protocol": next(name for name, one in PROTOCOLS.items() if one == config.protocol)}


def units(options: argparse.Namespace, real: RealSet) -> Iterator[Unit]:
    """First one network for each set, then their repeats, and last the costly whole set.

    Raises:
        ValueError: settings that the engine refuses.
    """
    own = NetworkConfig(width=options.width)
    whole = whole_training(options)
    small = [method for method in options.methods if method != "whole"]
    for repeat in range(options.networks):
        for ipc in options.ipc:
            for method in small:
                condense = condensation(method, ipc, options)
                cross = CROSS_NETWORKS if (method, ipc) in options.cross else ()
                for at in _iterations(condense, options.snapshots):
                    about = about_set(method, ipc, at, condense, options, real)
                    final = condense is None or at == condense.iterations
                    images = len(real.train.classes) * images_per_class(method, ipc, condense)
                    for network in (own, *cross) if final else (own,):
                        for wanted in options.protocols:
                            training = small_training(options, network, wanted, images)
                            yield Unit(about=about, condense=condense, training=training, repeat=repeat)
    if "whole" in options.methods:
        about = about_set("whole", None, None, None, options, real)
        for repeat in range(options.networks):
            yield Unit(about=about, condense=None, training=whole, repeat=repeat)


def images_per_class(method: str, ipc: int, condense: CondenseConfig | None) -> int:
    """That a network is trained on."""
    if condense is not None:
        return condense.images_per_class
    return ipc * COLLAGE_FACTOR**2 if METHODS_OF_TRIALS[method].of == "collages" else ipc


def small_training(
    options: argparse.Namespace, network: NetworkConfig, wanted: str, images: int
) -> EvaluateConfig:
    """On so many images, by the protocol that is wanted."""
    protocol = PROTOCOLS[fitting(network.name, network.norm) if wanted == AUTO else wanted]
    epochs = options.epochs or protocol.epochs_on(images)
    return EvaluateConfig(network=network, epochs=epochs, protocol=protocol, seed=options.seed)


def whole_training(options: argparse.Namespace) -> EvaluateConfig:
    """On the whole split, for the upper bound and for the features that selections look at."""
    network = NetworkConfig(width=options.width)
    return EvaluateConfig(network=network, epochs=options.whole_epochs, seed=options.seed)


def condensation(method: str, ipc: int, options: argparse.Namespace) -> CondenseConfig | None:
    """The run that makes the set; None for a method that selects real images."""
    network = NetworkConfig(width=options.width)
    if method not in RECIPES:
        return None
    settings = RECIPES[method].settings(ipc) | RECIPES[method].method(ipc)
    settings |= {"iterations": dict(options.iterations).get(method, settings["iterations"])}
    settings |= dict(options.set)
    if not SOURCES[settings["source"]].needs_pool:
        settings |= {"pool": None, "expert": 0.0}
    elif options.pool is not None or settings["pool"] is None:
        settings["pool"] = options.pool or PoolConfig()
    return CondenseConfig(ipc=ipc, network=network, seed=options.seed, **settings)


def about_set(
    method: str,
    ipc: int | None,
    at: int | None,
    condense: CondenseConfig | None,
    options: argparse.Namespace,
    real: RealSet,
) -> dict[str, Any]:
    """The identity of a set. `at`: after how many of the run's iterations it was taken."""
    about: dict[str, Any] = {
        "dataset": options.dataset,
        "content_hash": real.content_hash,
        "method": method,
        "ipc": ipc,
    }
    if options.validation:
        about["validation"] = VALIDATION_PER_CLASS
    if method in ("random", "random-collage"):
        about["seed"] = options.seed
    if method in SELECTED:
        about["features"] = training_settings(whole_training(options))
    if condense is not None:
        about["condense"] = dataclasses.asdict(condense) | {"lr": condense.resolved_lr}
        about["at"] = at
    return about


def _iterations(condense: CondenseConfig | None, snapshots: list[int]) -> list[int | None]:
    if condense is None:
        return [None]
    return [*sorted({at for at in snapshots if at < condense.iterations}), condense.iterations]


def finite_seconds(text: str) -> float:
    """For the command line.

    Raises:
        ValueError: not a number of seconds.
    """
    seconds = float(text)
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"{text} is not a number of seconds")
    return seconds
