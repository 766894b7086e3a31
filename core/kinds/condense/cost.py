"""What a condensation will cost, by arithmetic alone: no torch, so that the API can say it beforehand.

A job's own estimate, after a dry run on the device, is the better one (core/engine/estimate.py).
"""

from collections.abc import Iterable

from core.engine.flops import TRAINING_PASSES, flops_of_pool, flops_per_class
from core.engine.networks import forward_cost
from core.engine.recipes import RECIPES
from core.kinds.condense.spec import CondenseSpec
from core.kinds.kind import Cost, DataFacts
from core.trials.cost import flops_of_trials

FLOAT_BYTES = 4
KEPT_MAPS = 3
"""Maps that a block's backward pass needs: of its convolution, its norm and its activation."""


def cost(spec: CondenseSpec, data: DataFacts) -> Cost:
    """Cost of a resolved spec.

    The memory is that of the images being optimised, with gradient and momentum, of those that collages
    turn into, with gradient, and of the activations of one class in an iteration; more classes at once where
    memory allows.
    """
    config = spec.condense_config()
    size = (data.image_size, data.image_size)
    forward = forward_cost(config.matched_in, size, data.channels, data.classes)
    own = forward_cost(spec.network.config(), size, data.channels, data.classes)
    flops = data.classes * flops_per_class(config, forward)
    stored = data.classes * config.ipc * data.channels * data.image_size**2
    decoded = 0 if config.factor == 1 else stored * config.factor**2
    maps = forward.map_values * (config.batch_real + KEPT_MAPS * config.synthetic_per_iteration)
    return Cost(
        flops_by_phase={
            **({"pool": flops_of_pool(config, forward, data.train_images)} if config.pool else {}),
            "condense": config.iterations * flops + _on_the_way(spec, data, own.flops),
            "evaluate": flops_of_trials(spec.trial_plan(), **data.sizes),
        },
        flops_per_iteration=flops,
        memory_bytes=FLOAT_BYTES * (3 * stored + 2 * decoded + maps),
    )


def _on_the_way(spec: CondenseSpec, data: DataFacts, forward: int) -> int:
    """Of the evaluations of the images at some iterations, on the job's own network only."""
    plan = spec.trial_plan()
    images = plan.set_ipc * data.classes
    trained = images * plan.config(spec.network, images).epochs
    once = spec.evaluation.networks * forward * (TRAINING_PASSES * trained + data.test_images)
    return len(spec.evaluated_at()) * once


def usual_costs(data: DataFacts, ipcs: Iterable[int]) -> list[tuple[CondenseSpec, Cost]]:
    """Of each recipe at each number of images per class, everything else being left to its default."""
    specs = [CondenseSpec(recipe=recipe, ipc=ipc) for recipe in RECIPES for ipc in ipcs]
    resolved = [spec.resolved(data.image_size, data.train_images, data.classes, data.lost) for spec in specs]
    return [(spec, cost(spec, data)) for spec in resolved]
