"""Random real images: one draw for all networks."""

import torch
from torch import Tensor

from core.engine.baselines import random_selection
from core.engine.images import LabelledImages


def select(real: LabelledImages, ipc: int, seed: int, embed: None, device: torch.device) -> Tensor:
    """Indices (N,), int64."""
    return random_selection(real, ipc, seed).indices_N
