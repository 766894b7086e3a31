"""One side of the comparison, in a process of its own: does a unit of work whenever a line on stdin names it.

A unit is timed here, around the work alone. `python -m bench` starts both sides and takes turns.
"""

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench import official_loop
from core.engine.condense import condense
from core.engine.config import CondenseConfig, EvaluateConfig
from core.engine.evaluate import train_network
from core.engine.images import LabelledImages
from core.engine.networks.build import build
from core.engine.pool import SNAPSHOTS, PoolNetwork, pool_training, train_pool_network
from core.engine.recipes import RECIPES
from core.engine.seeds import generator
from core.engine.state import synthetic_labels
from core.kinds.device import make_deterministic

CLASSES = 10
PER_CLASS = 5_000
SIDE = 32
EPOCHS = 20
"""Epochs in a unit of evaluation."""

POOL_STEPS = 20
"""Training steps of a pool's network in a unit."""

SHORT = "dance-short"

UNITS = ("condense 1", "condense 10", "fast 10", f"{SHORT} 10", "pool 10", "evaluate 10")
"""One iteration at 1 and 10 images per class, and of the recipes for less against the same official one;
POOL_STEPS steps of the pool that one of them trains first; EPOCHS epochs on 10 images per class."""


def random_cifar() -> LabelledImages:
    """Noise in the shapes of CIFAR-10's training split: speed does not depend on what the pixels show."""
    chance = np.random.default_rng(0)
    images_NHWC = chance.integers(0, 256, (CLASSES * PER_CLASS, SIDE, SIDE, 3), dtype=np.uint8)
    labels_N = chance.permutation(np.repeat(np.arange(CLASSES), PER_CLASS)).astype(np.int64)
    mean, std = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
    return LabelledImages(images_NHWC, labels_N, mean, std, CLASSES)


def our_work(real: LabelledImages) -> dict[str, Iterator[Any]]:
    """By unit, what to advance."""
    short = config_of(SHORT, 10)
    return {
        "condense 1": condense(real, CondenseConfig(ipc=1)),
        "condense 10": condense(real, CondenseConfig(ipc=10)),
        "fast 10": condense(real, config_of("fast", 10)),
        f"{SHORT} 10": condense(real, short, pool=_untrained(real, short)),
        "pool 10": train_pool_network(real, pool_training(short), 0),
        # 100 images are one batch, so a step is an epoch.
        "evaluate 10": train_network(_condensed(real), CLASSES, EvaluateConfig(), 0),
    }


def config_of(recipe: str, ipc: int) -> CondenseConfig:
    """A condensation as the recipe has it."""
    chosen = RECIPES[recipe]
    return CondenseConfig(ipc=ipc, **chosen.settings(ipc), **chosen.method(ipc))


def _untrained(real: LabelledImages, config: CondenseConfig) -> list[PoolNetwork]:
    """A pool in the shapes of a trained one: speed does not depend on what it has learned."""
    network = build(pool_training(config).network, real.channels, real.size, CLASSES, generator(0, 0, "pool"))
    assert isinstance(network, torch.nn.Module)
    weights = {
        name: tensor.expand(SNAPSHOTS + 1, *tensor.shape) for name, tensor in network.state_dict().items()
    }
    return [PoolNetwork(weights=weights)] * (config.pool.networks if config.pool else 0)


def official_work(real: LabelledImages) -> dict[str, Iterator[Any]]:
    """By unit, what to advance."""
    everything = torch.arange(len(real))
    images_NCHW, labels_N = real.normalised(everything, "cpu"), real.labels(everything, "cpu")
    ten = official_loop.condense(images_NCHW, labels_N, ipc=10)
    return {
        "condense 1": official_loop.condense(images_NCHW, labels_N, ipc=1),
        "condense 10": ten,
        "fast 10": ten,
        f"{SHORT} 10": ten,
        "pool 10": ten,
        "evaluate 10": official_loop.evaluate(*_condensed(real)),
    }


def _condensed(real: LabelledImages) -> tuple[Tensor, Tensor]:
    chosen = torch.cat([indices[:10] for indices in real.indices_by_class])
    return real.normalised(chosen, "cpu"), synthetic_labels(real, 10)


def advance(work: dict[str, Iterator[Any]], unit: str, *, ours: bool) -> float:
    """Seconds that the unit took."""
    steps = EPOCHS if unit.startswith("evaluate") else 1
    if ours and unit.startswith("pool"):
        steps = POOL_STEPS
    began = time.perf_counter()
    for _ in itertools.islice(work[unit], steps):
        pass
    return time.perf_counter() - began


def main(side: str) -> None:
    """Serve units until stdin ends."""
    start: Callable[[LabelledImages], dict[str, Iterator[Any]]]
    if side == "ours":
        make_deterministic()
        start = our_work
    else:
        start = official_work
    work = start(random_cifar())
    for line in sys.stdin:
        seconds = advance(work, line.strip(), ours=side == "ours")
        print(json.dumps({"seconds": seconds, "threads": torch.get_num_threads()}))  # noqa: T201
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
