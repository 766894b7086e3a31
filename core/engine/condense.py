"""Dataset condensation by distribution matching: the loop.

Method: Zhao & Bilen, "Dataset Condensation with Distribution Matching", arXiv 2110.04181.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from core.engine.augment import draw
from core.engine.config import CondenseConfig
from core.engine.errors import NumericalError
from core.engine.images import LabelledImages
from core.engine.matching import matching_loss_and_gradient
from core.engine.memory import default_micro_batch, halving
from core.engine.networks import build, skeleton
from core.engine.sampling import sample
from core.engine.seeds import generator

CHECK_EVERY = 50
"""Iterations between two looks at the loss: each look makes the host wait for the device."""


@dataclass(frozen=True, kw_only=True)
class CondenseState:
    """All that a run needs to go on. The tensors are never written to after they are handed out.

    images_NCHW: float32, normalised, unclamped; class-major, ipc for each of the real set's classes.
    velocity_NCHW: float32, the momentum buffer.
    iteration: how many are done.
    micro_batch: the one that memory was found to suffice for; None if it never ran out.
    """

    images_NCHW: Tensor
    velocity_NCHW: Tensor
    iteration: int
    micro_batch: int | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """An iteration: number from 1, loss (0-dim, on the device: reading it waits), the state after.

    micro_batch: images that were embedded at once, at most; smaller than before once memory ran out.
    """

    iteration: int
    loss: Tensor
    state: CondenseState
    micro_batch: int


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
    micro_batch: int | None = None,
) -> Iterator[Step]:
    """Run the iterations that `state` (default: `initial_state`) has not done, yielding after each.

    When memory runs out, the same iteration is done anew with half the micro-batch, and so are all after it.

    A run resumed from any yielded state equals an uninterrupted one, bit for bit, on the same machine and
    with the same `micro_batch`; a halving is part of the state. Runs whose micro-batches differ, or that
    memory failed in different iterations, are equal to rounding.

    Args:
        micro_batch: images embedded at once, at most (default: by device, see core/engine/memory.py).

    Raises:
        ValueError: a state of another set or configuration, or a network that the images do not fit.
        NumericalError: a loss, image or velocity is not finite; noticed within CHECK_EVERY iterations.
        OutOfMemory: the smallest micro-batch, or a network that couples samples, does not fit.
    """
    if state is None:
        state = initial_state(real, config, device)
    _check_fits(state, real, config)
    images_NCHW, velocity_NCHW = state.images_NCHW.to(device), state.velocity_NCHW.to(device)
    lr, momentum = config.resolved_lr, config.momentum
    finite = torch.ones((), dtype=torch.bool, device=device)
    micro_batch, least = _micro_batch_limits(real, config, device, state, micro_batch)
    found_to_fit = state.micro_batch

    for t in range(state.iteration, config.iterations):
        work = partial(_loss_and_gradient, real, config, t, images_NCHW)
        (loss, gradient_NCHW), fitted = halving(
            work, micro_batch, least=least, device=device, what=f"iteration {t + 1}"
        )
        if fitted < micro_batch:
            micro_batch = found_to_fit = fitted

        # New tensors, not in place: the caller may still hold the last state.
        velocity_NCHW = momentum * velocity_NCHW + gradient_NCHW
        images_NCHW = images_NCHW - lr * velocity_NCHW
        state = CondenseState(
            images_NCHW=images_NCHW, velocity_NCHW=velocity_NCHW, iteration=t + 1, micro_batch=found_to_fit
        )

        finite &= loss.isfinite()
        if state.iteration % CHECK_EVERY == 0 or state.iteration == config.iterations:
            if not finite:
                raise NumericalError(f"the loss is not finite within {CHECK_EVERY} iterations up to {t + 1}")
            check_finite(state)
        yield Step(iteration=t + 1, loss=loss, state=state, micro_batch=micro_batch)


def _loss_and_gradient(
    real: LabelledImages, config: CondenseConfig, t: int, images_NCHW: Tensor, micro_batch: int
) -> tuple[Tensor, Tensor]:
    """Of iteration `t`, from 0, on the device of the images. All that it draws depends on `t` alone."""
    device = images_NCHW.device
    network_chance = generator(config.seed, t, "network", device)
    network = build(config.network, real.channels, real.size, real.num_classes, network_chance)
    network.requires_grad_(False)
    real_chance = generator(config.seed, t, "real batch")
    augment_chance = generator(config.seed, t, "augmentation")
    chosen = [sample(real.indices_by_class[c], config.batch_real, real_chance) for c in real.classes]
    augmentations = [draw(config.augment, augment_chance, real.size) for _ in real.classes]
    real_batches = (real.normalised(indices, device) for indices in chosen)
    return matching_loss_and_gradient(network, real_batches, images_NCHW, augmentations, micro_batch)


def _micro_batch_limits(
    real: LabelledImages,
    config: CondenseConfig,
    device: torch.device | str,
    state: CondenseState,
    wanted: int | None,
) -> tuple[int, int]:
    """The micro-batch to start with, and the smallest one. More than all images of a side is all of them."""
    wanted = default_micro_batch(device) if wanted is None else wanted
    if wanted < 1:
        raise ValueError(f"micro_batch: {wanted} is smaller than 1")
    whole_side = len(real.classes) * max(config.batch_real, config.ipc)
    if skeleton(config.network, real.channels, real.size, real.num_classes).couples_samples:
        return whole_side, whole_side
    return min(wanted, state.micro_batch or wanted, whole_side), 1


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
