"""Collages matched in trained networks, beside an expert's judgement, with settings near the paper's.

Zhang et al., "DANCE: Dual-View Distribution Alignment for Dataset Condensation", IJCAI 2024,
https://arxiv.org/abs/2406.01063.
"""

from core.engine.config import PoolConfig
from core.engine.recipes.recipe import Recipe


def dance_lr(ipc: int) -> float:
    """The paper's .01 · ipc, which is for pixels in [0, 1]; of normalised ones, whose deviation there is
    about .2, the same step is 25 times as large."""
    return 0.25 * ipc


def weight_one(ipc: int) -> float:
    """The expert's, for any number of images per class."""
    return 1.0


DANCE = Recipe(
    title="DANCE: Dual-View Distribution Alignment for Dataset Condensation",
    link="https://arxiv.org/abs/2406.01063",
    objective="mean",
    source="interpolation",
    form="collage-2",
    composed=True,
    clamp=True,
    iterations=10_000,
    batch_real=128,
    batch_synthetic=200,
    lr=dance_lr,
    lr_decay=0.0,
    momentum=0.5,
    pool=PoolConfig(networks=5, epochs=60),
    expert=weight_one,
)
