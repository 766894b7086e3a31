"""Dataset condensation by matching: the loop.

After Zhao & Bilen, "Dataset Condensation with Distribution Matching", arXiv 2110.04181; what is matched
(core/engine/objectives), in which networks (sources) and how the images are stored (forms) are the recipe's.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from core.engine.augment import Augmentation, Chain, draw, draw_chain
from core.engine.config import CondenseConfig
from core.engine.errors import NumericalError
from core.engine.expert import Expert
from core.engine.forms.form import class_major, load_form
from core.engine.images import LabelledImages, resident
from core.engine.matching import matching_loss_and_gradient
from core.engine.memory import default_micro_batch, with_smaller_batches
from core.engine.objectives.objective import load_objective
from core.engine.pool import Pool
from core.engine.sampling import sample
from core.engine.seeds import generator
from core.engine.sharding import WHOLE, Shard
from core.engine.sources.source import load_source
from core.engine.state import CondenseState, check_finite, check_fits, initial_state

CHECK_EVERY = 50
"""Iterations between two reads of the loss: each makes the host wait for the device."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """An iteration: number from 1, loss (0-dim, on the device: reading it waits), the state after.

    micro_batch: images that were embedded at once, at most; smaller than before once memory ran out.
    """

    iteration: int
    loss: Tensor
    state: CondenseState
    micro_batch: int


def condense(
    real: LabelledImages,
    config: CondenseConfig,
    *,
    device: torch.device | str = "cpu",
    state: CondenseState | None = None,
    micro_batch: int | None = None,
    shard: Shard = WHOLE,
    pool: Pool | None = None,
) -> Iterator[Step]:
    """Run the iterations that `state` (default: `initial_state`) has not done, yielding after each.

    When memory runs out, the same iteration is done anew with half the micro-batch, and so are all after it.

    A run resumed from any yielded state equals an uninterrupted one, bit for bit, on the same machine and
    with the same `micro_batch`; one made smaller is part of the state. Runs whose micro-batches differ, or
    that memory failed in different iterations, are equal to rounding.

    Args:
        micro_batch: images embedded at once, at most (default: by device, see core/engine/memory.py).
        shard: this process's share of the classes. Every process passes the same set, configuration and state
            and yields the same steps, equal to a single process's to rounding.
        pool: the trained networks of a source that needs them.

    Raises:
        ValueError: a state of another set or configuration, a network that the images do not fit, or a shard
            that cannot be.
        NumericalError: a loss or a value of the state is not finite; noticed within CHECK_EVERY iterations.
        OutOfMemory: the smallest micro-batch, or a network that couples samples, does not fit.
    """
    if state is None:
        state = initial_state(real, config, device)
    check_fits(state, real, config)
    form, aim = load_form(real, config), load_objective(config.objective)
    tensors = {name: tensor.to(device) for name, tensor in state.tensors.items()}
    finite = torch.ones((), dtype=torch.bool, device=device)
    real = resident(real, device)
    networks = load_source(config.source)(real, config, device, pool)
    shard.check(len(real.classes), networks.couples_samples)
    mine = shard.of(len(real.classes))
    drawn = config.synthetic_per_iteration
    rows = slice(mine.start * drawn, mine.stop * drawn)
    micro_batch, least = _micro_batches(real, config, device, state, micro_batch, networks.couples_samples)
    found_to_fit = state.micro_batch

    for t in range(state.iteration, config.iterations):
        network = networks.network(t)
        real_chance = generator(config.seed, t, "real batch")
        augment_chance = generator(config.seed, t, "augmentation")
        chosen = [sample(real.indices_by_class[c], config.batch_real, real_chance) for c in real.classes]
        augmentations: list[Augmentation | Chain] = [
            draw_chain(config.chain, augment_chance, real.size)
            if config.composed
            else draw(config.augment, augment_chance, real.size)
            for _ in real.classes
        ]

        leaves = {name: tensors[name].detach().requires_grad_() for name in form.parameters}
        images_NCHW = class_major(form.decode(leaves), len(real.classes), config.factor**2)
        if drawn < config.images_per_class:
            synthetic_chance = generator(config.seed, t, "synthetic batch")
            images_NCHW = images_NCHW[_drawn(config, len(real.classes), synthetic_chance).to(device)]
        expert = None
        if config.expert:
            classes_C = torch.tensor(real.classes[mine], device=device)
            expert = Expert(network=networks.expert(t), weight=config.expert, classes_C=classes_C)

        def matched(micro_batch: int) -> tuple[Tensor, Tensor]:
            # Called before the next iteration gives these names to others, which is what B023 warns of.
            real_batches = (real.normalised(indices, device) for indices in chosen[mine])  # noqa: B023
            return matching_loss_and_gradient(
                aim, network, real_batches, images_NCHW.detach()[rows], augmentations[mine], micro_batch, expert  # noqa: B023,E501
            )  # fmt: skip

        what = f"iteration {t + 1}"
        (loss, gradient_NCHW), fitted = with_smaller_batches(
            matched, micro_batch, least=least, device=device, what=what
        )
        if fitted < micro_batch:
            micro_batch = found_to_fit = fitted
        loss, gradient_NCHW = shard.combined(loss, gradient_NCHW, rows.start, len(images_NCHW))
        gradients = torch.autograd.grad(images_NCHW, list(leaves.values()), gradient_NCHW)

        # New tensors, not in place: the caller may still hold the last state.
        for (name, velocity), gradient in zip(form.parameters.items(), gradients, strict=True):
            tensors[velocity] = config.momentum * tensors[velocity] + gradient
            tensors[name] = tensors[name] - config.lr_at(t + 1) * tensors[velocity]
        if config.clamp:
            tensors |= form.clamped(tensors)
        state = CondenseState(tensors=dict(tensors), iteration=t + 1, micro_batch=found_to_fit)

        finite &= loss.isfinite()
        if state.iteration % CHECK_EVERY == 0 or state.iteration == config.iterations:
            if not finite:
                raise NumericalError(f"the loss is not finite within {CHECK_EVERY} iterations up to {t + 1}")
            check_finite(state)
        yield Step(iteration=t + 1, loss=loss, state=state, micro_batch=micro_batch)


def _drawn(config: CondenseConfig, classes: int, chance: torch.Generator) -> Tensor:
    """Rows of the images that an iteration takes, class-major, equally many of each class."""
    own = torch.arange(config.images_per_class)
    first = (config.images_per_class * c for c in range(classes))
    return torch.cat([start + sample(own, config.synthetic_per_iteration, chance) for start in first])


def _micro_batches(
    real: LabelledImages,
    config: CondenseConfig,
    device: torch.device | str,
    state: CondenseState,
    wanted: int | None,
    couples_samples: bool,
) -> tuple[int, int]:
    """The micro-batch to start with, and the smallest one. More than all images of a side is all of them."""
    wanted = default_micro_batch(device) if wanted is None else wanted
    if wanted < 1:
        raise ValueError(f"micro_batch: {wanted} is smaller than 1")
    whole_side = len(real.classes) * max(config.batch_real, config.synthetic_per_iteration)
    if couples_samples:
        return whole_side, whole_side
    return min(wanted, state.micro_batch or wanted, whole_side), 1
