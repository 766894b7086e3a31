"""What a job on ConvNet will cost, by arithmetic alone: no torch, so that the API can say it beforehand.

A job's own estimate, after a dry run on the device, is the better one (core/engine/estimate.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from core.engine.config import NetworkConfig, default_depth
from core.engine.recipes import RECIPES
from core.jobs.spec import JobSpec

FLOAT_BYTES = 4
KEPT_MAPS = 3
"""Maps that a block's backward pass needs: of its convolution, its norm and its activation."""

TRAINING_PASSES = 3
"""Forward, back to the activations and back to the weights: each costs as much as the forward pass."""


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """Of a ready data set: images of both splits, classes, side in pixels, channels."""

    train_images: int
    test_images: int
    classes: int
    image_size: int
    channels: int


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A multiplication and an addition count as two FLOPs; only convolutions are counted.

    flops_per_iteration: of the condensation.
    memory_bytes: float32 images being optimised with gradient and momentum, and the activations of one class
        in an iteration. The libraries come on top, and more classes at once where memory allows.
    """

    flops_per_iteration: int
    condensation_flops: int
    evaluation_flops: int
    memory_bytes: int

    @property
    def flops(self) -> int:
        """Of the whole job."""
        return self.condensation_flops + self.evaluation_flops


def cost(spec: JobSpec, data: DataFacts) -> Cost:
    """Cost of a resolved spec.

    Raises:
        ValueError: a network that is not ConvNet, here or in `cross_architecture`.
    """
    if any(one.network.name != "convnet" for one in spec.architectures()):
        raise ValueError("the arithmetic is known for convnet only")
    config = spec.condense_config()
    forward, maps = convnet(spec.network_config(), data.image_size, data.channels)
    # Real images forward; synthetic ones forward, and back to their pixels at the same cost.
    flops = data.classes * (config.batch_real + 2 * spec.ipc) * forward
    pixels = data.classes * spec.ipc * data.channels * data.image_size**2
    return Cost(
        flops_per_iteration=flops,
        condensation_flops=config.iterations * flops,
        evaluation_flops=_on_the_way(spec, data)
        + sum(_on_few_images(one, data) for one in spec.architectures())
        + _on_the_whole(spec, data),
        memory_bytes=FLOAT_BYTES * (3 * pixels + maps * (config.batch_real + KEPT_MAPS * spec.ipc)),
    )


def convnet(network: NetworkConfig, image_size: int, channels: int) -> tuple[int, int]:
    """FLOPs of one image forward through ConvNet, and values in the maps of all its blocks."""
    side, flops, maps = image_size, 0, 0
    for _ in range(network.depth or default_depth(image_size, image_size)):
        maps += network.width * side * side
        flops += 2 * 9 * channels * network.width * side * side
        channels = network.width
        if network.pooling != "none":
            side //= 2
    return flops, maps


def _on_few_images(spec: JobSpec, data: DataFacts) -> int:
    """Of the sets of ipc images per class, on one network."""
    forward, _ = convnet(spec.network_config(), data.image_size, data.channels)
    evaluation = spec.evaluation
    # Besides the baselines: the condensed set, and its PNG form.
    small_sets = 2 + sum(method != "whole" for method in evaluation.baselines)
    trained = small_sets * spec.ipc * data.classes * spec.evaluate_config().epochs
    tested = small_sets * data.test_images
    return evaluation.networks * forward * (TRAINING_PASSES * trained + tested)


def _on_the_whole(spec: JobSpec, data: DataFacts) -> int:
    """Of the whole training split, on the job's own network only: as a baseline, and for features."""
    forward, _ = convnet(spec.network_config(), data.image_size, data.channels)
    baselines = spec.evaluation.baselines
    trained = TRAINING_PASSES * data.train_images * spec.evaluate_config(whole=True).epochs
    images = 0
    if "whole" in baselines:
        images += spec.evaluation.networks * (trained + data.test_images)
    by_features = sum(method in ("herding", "k-center") for method in baselines)
    if by_features:
        # One network for both; each looks at every image once.
        images += trained + by_features * data.train_images
    return forward * images


def _on_the_way(spec: JobSpec, data: DataFacts) -> int:
    """Of the images at some iterations, on the job's own network only."""
    forward, _ = convnet(spec.network_config(), data.image_size, data.channels)
    trained = spec.ipc * data.classes * spec.evaluate_config().epochs
    once = spec.evaluation.networks * forward * (TRAINING_PASSES * trained + data.test_images)
    return len(spec.evaluated_at()) * once


def usual_costs(data: DataFacts, ipcs: Iterable[int]) -> list[tuple[JobSpec, Cost]]:
    """Of each recipe at each number of images per class, everything else being left to its default."""
    specs = [JobSpec(recipe=recipe, ipc=ipc) for recipe in RECIPES for ipc in ipcs]
    resolved = [spec.resolved(data.image_size, data.train_images, data.classes) for spec in specs]
    return [(spec, cost(spec, data)) for spec in resolved]
