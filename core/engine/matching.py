"""An objective's loss and gradient in as many passes as memory asks for, whatever the objective."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from core.engine.augment import Augmentation, Chain, apply
from core.engine.expert import Expert
from core.engine.networks.network import Embedder
from core.engine.objectives.objective import Objective, OfMaps


def matching_loss_and_gradient(
    objective: Objective,
    network: Embedder,
    real_batches: Iterable[Tensor],
    synthetic_NCHW: Tensor,
    augmentations: Sequence[Augmentation | Chain],
    micro_batch: int,
    expert: Expert | None = None,
) -> tuple[Tensor, Tensor]:
    """The objective's distance between real and synthetic images, summed over classes, and its gradient.

    No class's part depends on another's images unless the network couples samples, so the sum is taken in as
    many passes as memory asks for.

    Args:
        real_batches: for each class a batch of its real images (NCHW); read once, so it may be lazy.
        synthetic_NCHW: the synthetic images in class-major order, the same number for each class.
        augmentations: for each class the one that both its sides get.
        micro_batch: images embedded at once, at most; changes nothing but rounding. A network that couples
            samples embeds each side whole, whatever this says.
        expert: of these classes, whose loss is added.

    Returns:
        0-dim loss, and its gradient in the shape of `synthetic_NCHW`; neither has a graph.
    """
    augmented = (apply(a, x_NCHW) for a, x_NCHW in zip(augmentations, real_batches, strict=True))
    # A CPU gains nothing from passes that span classes.
    span = synthetic_NCHW.device.type != "cpu"
    real_CS = class_means(objective, network, augmented, micro_batch, span=span)
    classes, ipc = len(augmentations), len(synthetic_NCHW) // len(augmentations)
    at_once = classes if network.couples_samples else max(1, micro_batch // ipc)
    losses, gradients = [], []
    for c in range(0, classes, at_once):
        own = slice(c, c + at_once)
        leaf_NCHW = synthetic_NCHW.detach()[c * ipc : (c + at_once) * ipc]
        judge = None if expert is None else expert.of(c, at_once)
        if ipc <= micro_batch or network.couples_samples:
            loss, gradient_NCHW = _by_classes(
                objective, network, real_CS[own], leaf_NCHW, augmentations[own], judge
            )
        else:
            loss, gradient_NCHW = _by_parts(
                objective, network, real_CS[own], leaf_NCHW, augmentations[c], judge, micro_batch
            )
        losses.append(loss)
        gradients.append(gradient_NCHW)
    return torch.stack(losses).sum(), torch.cat(gradients)


def _seen(objective: Objective, network: Embedder, x_NCHW: Tensor) -> tuple[Tensor, Tensor]:
    """The features that the objective looks at, and the embedding: mostly the same."""
    if isinstance(objective, OfMaps):
        maps, embedding_NF = network.stages(x_NCHW)
        return objective.features(maps, embedding_NF), embedding_NF
    embedding_NF = network.embed(x_NCHW)
    return embedding_NF, embedding_NF


def _by_classes(
    objective: Objective,
    network: Embedder,
    real_CS: Tensor,
    synthetic_NCHW: Tensor,
    augmentations: Sequence[Augmentation | Chain],
    expert: Expert | None,
) -> tuple[Tensor, Tensor]:
    """Loss and gradient of some classes in one pass."""
    leaf_NCHW = synthetic_NCHW.requires_grad_()
    ipc = len(leaf_NCHW) // len(augmentations)
    by_class = torch.split(leaf_NCHW, ipc)
    augmented_NCHW = torch.cat([apply(a, x_NCHW) for a, x_NCHW in zip(augmentations, by_class, strict=True)])
    features_NF, embedding_NF = _seen(objective, network, augmented_NCHW)
    synthetic_CS = objective.sums(features_NF.view(len(augmentations), ipc, -1)) / ipc
    loss = objective.distance(real_CS, synthetic_CS)
    if expert is not None:
        loss = loss + expert.loss(augmented_NCHW, network, embedding_NF, ipc)
    (gradient_NCHW,) = torch.autograd.grad(loss, leaf_NCHW)
    return loss.detach(), gradient_NCHW


def _by_parts(
    objective: Objective,
    network: Embedder,
    real_1S: Tensor,
    synthetic_NCHW: Tensor,
    augmentation: Augmentation | Chain,
    expert: Expert | None,
    micro_batch: int,
) -> tuple[Tensor, Tensor]:
    """Loss and gradient of one class too large for a pass.

    Once for its mean statistic, by which the distance is differentiated: each image has an equal share in the
    mean, so the loss's gradient by the sum over any part of the class is the same. Then again, part by part,
    for the gradient by the pixels.
    """
    with torch.no_grad():
        parts = torch.split(synthetic_NCHW, micro_batch)
        seen = (_seen(objective, network, apply(augmentation, part)) for part in parts)
        sums_1S = [objective.sums(features_NF[None]) for features_NF, _ in seen]
        mean_1S = torch.stack(sums_1S).sum(dim=0) / len(synthetic_NCHW)
    loss = objective.distance(real_1S, mean_1S.requires_grad_())
    (by_mean_1S,) = torch.autograd.grad(loss, mean_1S)
    by_sum_1S = by_mean_1S / len(synthetic_NCHW)
    loss, gradients = loss.detach(), []
    for part_NCHW in torch.split(synthetic_NCHW, micro_batch):
        leaf_NCHW = part_NCHW.requires_grad_()
        augmented_NCHW = apply(augmentation, leaf_NCHW)
        features_NF, embedding_NF = _seen(objective, network, augmented_NCHW)
        outputs, by_outputs = [objective.sums(features_NF[None])], [by_sum_1S]
        if expert is not None:
            judged = expert.loss(augmented_NCHW, network, embedding_NF, len(synthetic_NCHW))
            outputs.append(judged)
            by_outputs.append(torch.ones_like(judged))
            loss = loss + judged.detach()
        (gradient_NCHW,) = torch.autograd.grad(outputs, leaf_NCHW, by_outputs)
        gradients.append(gradient_NCHW)
    return loss, torch.cat(gradients)


@torch.no_grad()
def class_means(
    objective: Objective, network: Embedder, batches: Iterable[Tensor], micro_batch: int, *, span: bool
) -> Tensor:
    """The mean over each batch of its images' statistics, (C, S), without a graph.

    Args:
        batches: read once, and no further than the next pass needs.
        micro_batch: images embedded at once, at most, unless the network couples samples.
        span: whether a pass may hold images of several batches.
    """
    if network.couples_samples:
        # Batch statistics must span the classes, as they do in training.
        x_BNCHW = list(batches)
        features_NF, _ = _seen(objective, network, torch.cat(x_BNCHW))
        by_class = torch.split(features_NF, [len(x) for x in x_BNCHW])
        return torch.cat([objective.sums(own_NF[None]) / len(own_NF) for own_NF in by_class])
    means: list[Tensor] = []
    sums: list[Tensor] = []
    count = 0
    for parts in _micro_batches(batches, micro_batch, span=span):
        images = [part_NCHW for _, part_NCHW in parts]
        features_NF, _ = _seen(objective, network, torch.cat(images) if len(images) > 1 else images[0])
        # Class by class and not by index_add_, whose order of addition differs from run to run on CUDA.
        by_class = torch.split(features_NF, [len(part_NCHW) for part_NCHW in images])
        for (last, part_NCHW), own_NF in zip(parts, by_class, strict=True):
            sums.append(objective.sums(own_NF[None])[0])
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
