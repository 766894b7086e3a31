"""`dance` for CPUs and small GPUs: chosen at 10 images per class on a part of CIFAR-10's training split that
no condensation saw (docs/recipes.md).

One network, trained for few epochs, at a random moment of which each iteration matches: it is its own expert,
so that an image passes through one network alone.
"""

import math

from core.engine.config import PoolConfig
from core.engine.recipes.recipe import Recipe


def short_lr(ipc: int) -> float:
    """In proportion to ipc, as the paper's: the class mean divides the pull on each image by it."""
    return 2.0 * min(ipc, 50)


def short_expert(ipc: int) -> float:
    """5 up to 10 images per class and 1 from 50, geometric between: the proportion that TGDD has for its own
    (2.5 and 0.5). The more images, the more do their means say."""
    return math.pow(5.0, 1 - min(max((ipc - 10) / 40, 0.0), 1.0))


DANCE_SHORT = Recipe(
    title="DANCE: Dual-View Distribution Alignment for Dataset Condensation",
    link="https://arxiv.org/abs/2406.01063",
    objective="mean",
    source="trajectory",
    form="collage-2",
    composed=True,
    clamp=True,
    iterations=300,
    batch_real=64,
    batch_synthetic=64,
    lr=short_lr,
    lr_decay=0.5,
    momentum=0.5,
    pool=PoolConfig(networks=1, epochs=6),
    expert=short_expert,
)
