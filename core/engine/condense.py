"""Dataset condensation by distribution matching: the loop.

Method: Zhao & Bilen, "Dataset Condensation with Distribution Matching", arXiv 2110.04181.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from core.engine.augment import draw
from core.engine.config import CondenseConfig
from core.engine.errors import NumericalError
from core.engine.images import LabelledImages, resident
from core.engine.matching import matching_loss
from core.engine.networks import build
from core.engine.networks.initialise import initialise
from core.engine.precision import on_device
from core.engine.sampling import sample
from core.engine.seeds import generator
from core.engine.sharding import WHOLE, Shard

CHECK_EVERY = 50
"""Iterations between two looks at the loss: each look makes the host wait for the device."""


@dataclass(frozen=True, kw_only=True)
class CondenseState:
    """All that a run needs to go on. The tensors are never written to after they are handed out.

    images_NCHW: float32, normalised, unclamped; class-major, ipc for each of the real set's classes.
    velocity_NCHW: float32, the momentum buffer.
    iteration: how many are done.
    """

    images_NCHW: Tensor
    velocity_NCHW: Tensor
    iteration: int


@dataclass(frozen=True, kw_only=True)
class Step:
    """An iteration: number from 1, loss (0-dim, on the device: reading it waits), the state after."""

    iteration: int
    loss: Tensor
    state: CondenseState


def synthetic_labels(real: LabelledImages, ipc: int) -> Tensor:
    """int64 labels of the synthetic images. A class without a real image has no synthetic one either."""
    return torch.tensor(real.classes).repeat_interleave(ipc)


def initial_state(
    real: LabelledImages, config: CondenseConfig, device: torch.device | str = "cpu"
) -> CondenseState:
    """Random real images of each class (repeated if a class has fewer than ipc), or normal noise."""
    chance = generator(config.seed, 0, "initial images")
    if config.init == "real":
        chosen = [sample(real.indices_by_class[c], config.ipc, chance) for c in real.classes]
        images_NCHW = real.normalised(torch.cat(chosen), device)
    else:
        shape = (len(real.classes) * config.ipc, real.channels, *real.size)
        images_NCHW = torch.randn(shape, generator=chance).to(device)
    return CondenseState(images_NCHW=images_NCHW, velocity_NCHW=torch.zeros_like(images_NCHW), iteration=0)


def condense(
    real: LabelledImages,
    config: CondenseConfig,
    *,
    device: torch.device | str = "cpu",
    state: CondenseState | None = None,
    shard: Shard = WHOLE,
) -> Iterator[Step]:
    """Run the iterations that `state` (default: `initial_state`) has not done, yielding after each.

    A run resumed from any yielded state equals an uninterrupted one, bit for bit, on the same machine.

    Args:
        shard: this process's share of the classes. Every process passes the same set, configuration and state
            and yields the same steps, equal to a single process's to rounding.

    Raises:
        ValueError: a state of another set or configuration, a network that the images do not fit, or a shard
            that cannot be.
        NumericalError: a loss, image or velocity is not finite; noticed within CHECK_EVERY iterations.
    """
    if state is None:
        state = initial_state(real, config, device)
    _check_fits(state, real, config)
    images_NCHW, velocity_NCHW = state.images_NCHW.to(device), state.velocity_NCHW.to(device)
    momentum = config.momentum
    finite = torch.ones((), dtype=torch.bool, device=device)
    real = resident(real, device)
    # Built once and drawn anew in place in every iteration: the same numbers as from building it again.
    first_chance = generator(config.seed, 0, "network", device)
    network = build(config.network, real.channels, real.size, real.num_classes, first_chance)
    network.requires_grad_(False)
    embedder = on_device(network, device)
    shard.check(len(real.classes), network.couples_samples)
    mine = shard.of(len(real.classes))
    rows = slice(mine.start * config.ipc, mine.stop * config.ipc)

    for t in range(state.iteration, config.iterations):
        initialise(network, generator(config.seed, t, "network", device))
        real_chance = generator(config.seed, t, "real batch")
        augment_chance = generator(config.seed, t, "augmentation")
        chosen = [sample(real.indices_by_class[c], config.batch_real, real_chance) for c in real.classes]
        augmentations = [draw(config.augment, augment_chance, real.size) for _ in real.classes]

        leaf_NCHW = images_NCHW[rows].detach().requires_grad_()
        real_batches = (real.normalised(indices, device) for indices in chosen[mine])
        loss = matching_loss(embedder, real_batches, leaf_NCHW, augmentations[mine])
        (gradient_NCHW,) = torch.autograd.grad(loss, leaf_NCHW)
        loss, gradient_NCHW = shard.combined(loss.detach(), gradient_NCHW, rows.start, len(images_NCHW))

        # New tensors, not in place: the caller may still hold the last state.
        velocity_NCHW = momentum * velocity_NCHW + gradient_NCHW
        images_NCHW = images_NCHW - config.lr_at(t + 1) * velocity_NCHW
        state = CondenseState(images_NCHW=images_NCHW, velocity_NCHW=velocity_NCHW, iteration=t + 1)

        finite &= loss.isfinite()
        if state.iteration % CHECK_EVERY == 0 or state.iteration == config.iterations:
            if not finite:
                raise NumericalError(f"the loss is not finite within {CHECK_EVERY} iterations up to {t + 1}")
            check_finite(state)
        yield Step(iteration=t + 1, loss=loss, state=state)


def check_finite(state: CondenseState) -> None:
    """To be called before a state is kept: waits for the device.

    Raises:
        NumericalError: an image or a velocity is infinite or not a number.
    """
    for name, tensor in (("images", state.images_NCHW), ("velocity", state.velocity_NCHW)):
        wrong = int(tensor.numel() - tensor.isfinite().sum())
        if wrong:
            raise NumericalError(
                f"{wrong} of {tensor.numel()} values of the {name} are not finite "
                f"after iteration {state.iteration}"
            )


def _check_fits(state: CondenseState, real: LabelledImages, config: CondenseConfig) -> None:
    expected = (len(real.classes) * config.ipc, real.channels, *real.size)
    for name, tensor in (("images", state.images_NCHW), ("velocity", state.velocity_NCHW)):
        if tuple(tensor.shape) != expected or tensor.dtype != torch.float32:
            raise ValueError(
                f"state: {name} are {tensor.dtype} {tuple(tensor.shape)}, but this set and ipc {config.ipc} "
                f"need torch.float32 {expected}"
            )
    if not 0 <= state.iteration <= config.iterations:
        raise ValueError(f"state: iteration {state.iteration} is outside 0 to {config.iterations}")
