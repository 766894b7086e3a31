"""Where a condensation stands: its named tensors, and how many iterations are done."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from core.engine.config import CondenseConfig
from core.engine.errors import NumericalError
from core.engine.forms.form import load_form
from core.engine.images import LabelledImages
from core.engine.seeds import generator


@dataclass(frozen=True, kw_only=True)
class CondenseState:
    """All that a run needs to go on. The tensors are never written to after they are handed out.

    tensors: float32, by name: the form's parameters, and the momentum of each.
    iteration: how many are done.
    micro_batch: the one that memory was found to suffice for; None if it never ran out.
    """

    tensors: Mapping[str, Tensor]
    iteration: int
    micro_batch: int | None = None


def synthetic_labels(real: LabelledImages, images_per_class: int) -> Tensor:
    """int64 labels of the synthetic images. A class without a real image has no synthetic one either."""
    return torch.tensor(real.classes).repeat_interleave(images_per_class)


def initial_state(
    real: LabelledImages, config: CondenseConfig, device: torch.device | str = "cpu"
) -> CondenseState:
    """As the form begins, at rest."""
    form = load_form(real, config)
    tensors = form.initial(generator(config.seed, 0, "initial images"), device)
    velocities = {form.parameters[name]: torch.zeros_like(tensor) for name, tensor in tensors.items()}
    return CondenseState(tensors=tensors | velocities, iteration=0)


@torch.no_grad()
def decoded(state: CondenseState, real: LabelledImages, config: CondenseConfig) -> tuple[Tensor, Tensor]:
    """The images that the stored ones turn into, NCHW, tile-major, and their labels: what is trained on."""
    images_NCHW = load_form(real, config).decode(state.tensors)
    return images_NCHW, decoded_labels(real, config.ipc, config.factor)


def decoded_labels(real: LabelledImages, ipc: int, factor: int) -> Tensor:
    """int64 labels of the images that stored ones turn into: those of the stored ones, once for each tile."""
    return synthetic_labels(real, ipc).repeat(factor**2)


@torch.no_grad()
def stored(state: CondenseState, real: LabelledImages, config: CondenseConfig) -> tuple[Tensor, Tensor]:
    """The images as they are stored, NCHW, class-major, and their labels."""
    return load_form(real, config).stored(state.tensors), synthetic_labels(real, config.ipc)


def check_finite(state: CondenseState) -> None:
    """To be called before a state is kept: waits for the device.

    Raises:
        NumericalError: a value is infinite or not a number.
    """
    for name, tensor in state.tensors.items():
        wrong = int(tensor.numel() - tensor.isfinite().sum())
        if wrong:
            raise NumericalError(
                f"{wrong} of {tensor.numel()} values of {name} are not finite "
                f"after iteration {state.iteration}"
            )


def check_fits(state: CondenseState, real: LabelledImages, config: CondenseConfig) -> None:
    """Whether the state can be one of this set under this configuration.

    Raises:
        ValueError: it cannot.
    """
    form = load_form(real, config)
    shapes = form.shapes()
    shapes |= {form.parameters[name]: shape for name, shape in shapes.items()}
    if state.tensors.keys() != shapes.keys():
        raise ValueError(
            f"state: tensors {', '.join(sorted(state.tensors)) or 'none'}, but form {config.form!r} has "
            f"{', '.join(sorted(shapes))}"
        )
    for name, tensor in state.tensors.items():
        if tuple(tensor.shape) != shapes[name] or tensor.dtype != torch.float32:
            raise ValueError(
                f"state: {name} is {tensor.dtype} {tuple(tensor.shape)}, but this set and ipc {config.ipc} "
                f"need torch.float32 {shapes[name]}"
            )
    if not 0 <= state.iteration <= config.iterations:
        raise ValueError(f"state: iteration {state.iteration} is outside 0 to {config.iterations}")
