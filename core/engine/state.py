"""Where a condensation stands: the synthetic images with their momentum, and how many iterations are done."""

from dataclasses import dataclass

import torch
from torch import Tensor

from core.engine.config import CondenseConfig
from core.engine.errors import NumericalError
from core.engine.images import LabelledImages
from core.engine.sampling import sample
from core.engine.seeds import generator


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


def check_fits(state: CondenseState, real: LabelledImages, config: CondenseConfig) -> None:
    """Whether the state can be one of this set under this configuration.

    Raises:
        ValueError: it cannot.
    """
    expected = (len(real.classes) * config.ipc, real.channels, *real.size)
    for name, tensor in (("images", state.images_NCHW), ("velocity", state.velocity_NCHW)):
        if tuple(tensor.shape) != expected or tensor.dtype != torch.float32:
            raise ValueError(
                f"state: {name} are {tensor.dtype} {tuple(tensor.shape)}, but this set and ipc {config.ipc} "
                f"need torch.float32 {expected}"
            )
    if not 0 <= state.iteration <= config.iterations:
        raise ValueError(f"state: iteration {state.iteration} is outside 0 to {config.iterations}")
