"""Real images whose mean feature follows the class mean (Welling 2009; core/engine/baselines.py)."""

import torch
from torch import Tensor

from core.engine.baselines import Embed, herding
from core.engine.images import LabelledImages


def select(real: LabelledImages, ipc: int, seed: int, embed: Embed, device: torch.device) -> Tensor:
    """Indices (N,), int64. Nothing is random."""
    return herding(real, ipc, embed, device=device).indices_N
