"""`dance` for CPUs and small GPUs: chosen by measurement on a part of CIFAR-10's training split that no
condensation saw (docs/recipes.md).

One network, trained for few epochs, at a random moment of which each iteration matches: it is its own expert,
so that an image passes through one network alone.
"""

from core.engine.config import PoolConfig
from core.engine.recipes.dance import weight_one
from core.engine.recipes.recipe import Recipe


def short_lr(ipc: int) -> float:
    """The same for any number of images per class, as that of `fast`."""
    return 5.0


DANCE_SHORT = Recipe(
    title="DANCE: Dual-View Distribution Alignment for Dataset Condensation",
    link="https://arxiv.org/abs/2406.01063",
    objective="mean",
    source="trajectory",
    form="collage-2",
    clamp=True,
    iterations=500,
    batch_real=64,
    batch_synthetic=64,
    lr=short_lr,
    lr_decay=0.5,
    momentum=0.5,
    pool=PoolConfig(networks=1, epochs=6),
    expert=weight_one,
)
