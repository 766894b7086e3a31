"""The distribution matching objective (Zhao & Bilen, arXiv 2110.04181)."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from core.engine.augment import Augmentation, apply

CPU_CHUNK = 64
"""Images embedded at a time on a CPU."""


class Embedder(Protocol):
    """A frozen network in training mode."""

    @property
    def couples_samples(self) -> bool: ...

    def embed(self, x_NCHW: Tensor) -> Tensor: ...


def matching_loss(
    network: Embedder,
    real_batches: Iterable[Tensor],
    synthetic_NCHW: Tensor,
    augmentations: Sequence[Augmentation],
) -> Tensor:
    """Sum over classes and features of (mean real feature - mean synthetic feature)².

    A sum, not a mean: the paper's learning rate is chosen for it.

    Args:
        real_batches: for each class a batch of its real images (NCHW); read once, so it may be lazy.
        synthetic_NCHW: the synthetic images in class-major order, the same number for each class.
        augmentations: for each class the one that both its sides get.

    Returns:
        0-dim loss, differentiable in `synthetic_NCHW`.
    """
    with torch.no_grad():
        augmented = (apply(a, x_NCHW) for a, x_NCHW in zip(augmentations, real_batches, strict=True))
        real_CF = _mean_features(network, augmented)
    ipc = len(synthetic_NCHW) // len(augmentations)
    by_class = torch.split(synthetic_NCHW, ipc)
    augmented_NCHW = torch.cat([apply(a, x_NCHW) for a, x_NCHW in zip(augmentations, by_class, strict=True)])
    features_NF = network.embed(augmented_NCHW)
    synthetic_CF = features_NF.view(len(augmentations), ipc, -1).mean(dim=1)
    return (real_CF - synthetic_CF).square().sum()


def _mean_feature(network: Embedder, x_NCHW: Tensor) -> Tensor:
    # On a CPU the C library returns large blocks to the system and each use faults them in anew.
    chunk = CPU_CHUNK if x_NCHW.device.type == "cpu" else len(x_NCHW)
    sums = [network.embed(part).sum(dim=0) for part in torch.split(x_NCHW, chunk)]
    return torch.stack(sums).sum(dim=0) / len(x_NCHW)


def _mean_features(network: Embedder, batches: Iterable[Tensor]) -> Tensor:
    """Mean feature of each batch, (C, features)."""
    if not network.couples_samples:
        # One class at a time: the memory of one batch, whatever the number of classes.
        return torch.stack([_mean_feature(network, x_NCHW) for x_NCHW in batches])
    # Batch statistics must span the classes, as they do in training.
    x_BNCHW = list(batches)
    features_NF = network.embed(torch.cat(x_BNCHW))
    return torch.stack([f.mean(dim=0) for f in torch.split(features_NF, [len(x) for x in x_BNCHW])])
