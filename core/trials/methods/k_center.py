"""Real images that cover their class (Sener & Savarese 2018; core/engine/baselines.py)."""

import torch
from torch import Tensor

from core.engine.baselines import Embed, k_center
from core.engine.images import LabelledImages


def select(real: LabelledImages, ipc: int, seed: int, embed: Embed, device: torch.device) -> Tensor:
    """Indices (N,), int64. Nothing is random."""
    return k_center(real, ipc, embed, device=device).indices_N
