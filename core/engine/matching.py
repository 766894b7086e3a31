"""The distribution matching objective (Zhao & Bilen, arXiv 2110.04181)."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from core.engine.augment import Augmentation, apply


class Embedder(Protocol):
    """A frozen network in training mode."""

    @property
    def couples_samples(self) -> bool: ...

    def embed(self, x_NCHW: Tensor) -> Tensor: ...


def matching_loss_and_gradient(
    network: Embedder,
    real_batches: Iterable[Tensor],
    synthetic_NCHW: Tensor,
    augmentations: Sequence[Augmentation],
    micro_batch: int,
) -> tuple[Tensor, Tensor]:
    """Sum over classes and features of (mean real feature - mean synthetic feature)², and its gradient.

    A sum, not a mean: the paper's learning rate is chosen for it. No class's part depends on another's images
    unless the network couples samples, so the sum is taken in as many passes as memory asks for.

    Args:
        real_batches: for each class a batch of its real images (NCHW); read once, so it may be lazy.
        synthetic_NCHW: the synthetic images in class-major order, the same number for each class.
        augmentations: for each class the one that both its sides get.
        micro_batch: images embedded at once, at most; changes nothing but rounding. A network that couples
            samples embeds each side whole, whatever this says.

    Returns:
        0-dim loss, and its gradient in the shape of `synthetic_NCHW`; neither has a graph.
    """
    augmented = (apply(a, x_NCHW) for a, x_NCHW in zip(augmentations, real_batches, strict=True))
    # A CPU gains nothing from passes that span classes.
    real_CF = mean_features(network, augmented, micro_batch, span=synthetic_NCHW.device.type != "cpu")
    classes, ipc = len(augmentations), len(synthetic_NCHW) // len(augmentations)
    at_once = classes if network.couples_samples else max(1, micro_batch // ipc)
    losses, gradients = [], []
    for c in range(0, classes, at_once):
        own = slice(c, c + at_once)
        leaf_NCHW = synthetic_NCHW.detach()[c * ipc : (c + at_once) * ipc]
        if ipc <= micro_batch or network.couples_samples:
            loss, gradient_NCHW = _by_classes(network, real_CF[own], leaf_NCHW, augmentations[own])
        else:
            loss, gradient_NCHW = _by_parts(network, real_CF[c], leaf_NCHW, augmentations[c], micro_batch)
        losses.append(loss)
        gradients.append(gradient_NCHW)
    return torch.stack(losses).sum(), torch.cat(gradients)


def _by_classes(
    network: Embedder, real_CF: Tensor, synthetic_NCHW: Tensor, augmentations: Sequence[Augmentation]
) -> tuple[Tensor, Tensor]:
    """Loss and gradient of some classes in one pass."""
    leaf_NCHW = synthetic_NCHW.requires_grad_()
    ipc = len(leaf_NCHW) // len(augmentations)
    by_class = torch.split(leaf_NCHW, ipc)
    augmented_NCHW = torch.cat([apply(a, x_NCHW) for a, x_NCHW in zip(augmentations, by_class, strict=True)])
    features_NF = network.embed(augmented_NCHW)
    synthetic_CF = features_NF.view(len(augmentations), ipc, -1).mean(dim=1)
    loss = (real_CF - synthetic_CF).square().sum()
    (gradient_NCHW,) = torch.autograd.grad(loss, leaf_NCHW)
    return loss.detach(), gradient_NCHW


def _by_parts(
    network: Embedder, real_F: Tensor, synthetic_NCHW: Tensor, augmentation: Augmentation, micro_batch: int
) -> tuple[Tensor, Tensor]:
    """Loss and gradient of one class too large for a pass.

    Once for its mean feature, from which the loss's gradient by each feature follows; then again, part by
    part, for the gradient by the pixels.
    """
    with torch.no_grad():
        parts = torch.split(synthetic_NCHW, micro_batch)
        sums = [network.embed(apply(augmentation, part_NCHW)).sum(dim=0) for part_NCHW in parts]
        difference_F = torch.stack(sums).sum(dim=0) / len(synthetic_NCHW) - real_F
    by_feature_F = 2 * difference_F / len(synthetic_NCHW)
    gradients = []
    for part_NCHW in torch.split(synthetic_NCHW, micro_batch):
        leaf_NCHW = part_NCHW.requires_grad_()
        features_NF = network.embed(apply(augmentation, leaf_NCHW))
        (gradient_NCHW,) = torch.autograd.grad(features_NF, leaf_NCHW, by_feature_F.expand_as(features_NF))
        gradients.append(gradient_NCHW)
    return difference_F.square().sum(), torch.cat(gradients)


@torch.no_grad()
def mean_features(network: Embedder, batches: Iterable[Tensor], micro_batch: int, *, span: bool) -> Tensor:
    """Mean feature of each batch, (C, features), without a graph.

    Args:
        batches: read once, and no further than the next pass needs.
        micro_batch: images embedded at once, at most, unless the network couples samples.
        span: whether a pass may hold images of several batches.
    """
    if network.couples_samples:
        # Batch statistics must span the classes, as they do in training.
        x_BNCHW = list(batches)
        features_NF = network.embed(torch.cat(x_BNCHW))
        return torch.stack([f.mean(dim=0) for f in torch.split(features_NF, [len(x) for x in x_BNCHW])])
    means: list[Tensor] = []
    sums: list[Tensor] = []
    count = 0
    for parts in _micro_batches(batches, micro_batch, span=span):
        images = [part_NCHW for _, part_NCHW in parts]
        features_NF = network.embed(torch.cat(images) if len(images) > 1 else images[0])
        # Class by class and not by index_add_, whose order of addition differs from run to run on CUDA.
        by_class = torch.split(features_NF, [len(part_NCHW) for part_NCHW in images])
        for (last, part_NCHW), own_NF in zip(parts, by_class, strict=True):
            sums.append(own_NF.sum(dim=0))
            count += len(part_NCHW)
            if last:
                means.append(torch.stack(sums).sum(dim=0) / count)
                sums, count = [], 0
    return torch.stack(means)


def _micro_batches(
    batches: Iterable[Tensor], size: int, *, span: bool
) -> Iterator[list[tuple[bool, Tensor]]]:
    """The images in order, `size` at a time: parts of batches, each with whether it is its batch's last."""
    parts: list[tuple[bool, Tensor]] = []
    room = size
    for x_NCHW in batches:
        start = 0
        while start < len(x_NCHW):
            part_NCHW = x_NCHW[start : start + room]
            start += len(part_NCHW)
            room -= len(part_NCHW)
            last = start == len(x_NCHW)
            parts.append((last, part_NCHW))
            if room == 0 or (last and not span):
                yield parts
                parts, room = [], size
    if parts:
        yield parts
