"""What a condensation and a training take, by arithmetic alone: torch-free.

A multiplication and an addition count as two. Of a network, convolutions and linear layers are counted.
"""

from core.engine.config import CondenseConfig
from core.engine.networks.entry import Forward
from core.engine.sources import SOURCES

TRAINING_PASSES = 3
"""Forward, back to the activations and back to the weights: each costs as much as the forward pass."""


def flops_per_class(config: CondenseConfig, forward: Forward) -> int:
    """Of one class in one iteration: real images forward; synthetic ones forward and, at the same cost, back
    to the pixels, through the expert as well where it is another network.

    A class of more synthetic images than a micro-batch is embedded once more, which is not counted.
    """
    flops = config.batch_real * forward.embed + 2 * config.synthetic_per_iteration * forward.embed
    if config.expert:
        again = 0 if SOURCES[config.source].is_expert else forward.embed
        flops += 2 * config.synthetic_per_iteration * (again + forward.classify)
    return flops


def flops_of_pool(config: CondenseConfig, forward: Forward, train_images: int) -> int:
    """Of the training of all networks of the pool; 0 where there is none."""
    if config.pool is None:
        return 0
    trained = TRAINING_PASSES * train_images * config.pool.epochs
    return config.pool.networks * trained * forward.flops
