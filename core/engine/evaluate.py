"""How well a set trains a network, by a protocol (core/engine/protocols).

A fresh network, augmented batches, and one test, after the last epoch: nothing is ever selected on it.
"""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from core.engine.augment import Augmentation, apply, draw
from core.engine.config import EvaluateConfig, parse_augment
from core.engine.cutmix import CutMix, Targets, draw_cutmix
from core.engine.errors import TrainingDiverged
from core.engine.images import LabelledImages, resident
from core.engine.memory import with_smaller_batches
from core.engine.networks.build import build
from core.engine.networks.network import Network
from core.engine.optimisers import optimiser_of
from core.engine.seeds import generator

CHECK_EVERY = 50
"""Epochs between two reads of the training loss: each makes the host wait for the device."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One training step is done. Epochs and steps count from 1; steps over all epochs.

    micro_batch: images that the network was given at once, at most, since memory ran out; None if it never
        did. When it runs out only in the test, the last step is reported again.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    micro_batch: int | None = None


@dataclass(frozen=True, kw_only=True)
class Score:
    """One network's result on the test images after its last epoch.

    confusion: num_classes rows of num_classes counts; row c is how the test images of class c were answered.
    train_loss: mean cross-entropy over the last epoch. seconds: wall time, pauses included.
    """

    confusion: tuple[tuple[int, ...], ...]
    train_loss: float
    seconds: float

    @property
    def correct(self) -> int:
        return sum(row[c] for c, row in enumerate(self.confusion))

    @property
    def total(self) -> int:
        return sum(map(sum, self.confusion))

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return self.correct / self.total

    @property
    def per_class(self) -> tuple[float | None, ...]:
        """Share of right answers by class, None where the test set has no image."""
        return tuple(row[c] / sum(row) if any(row) else None for c, row in enumerate(self.confusion))


def train_and_score(
    train: tuple[Tensor, Tensor] | LabelledImages,
    test: LabelledImages,
    config: EvaluateConfig,
    repeat: int,
    *,
    device: torch.device | str = "cpu",
) -> Generator[Progress, None, Score]:
    """Train network number `repeat` on `train`, yielding after every step; return its score.

    When memory runs out, the step or the test is done anew with half as many images at once: the same to
    rounding.

    Args:
        train: float32 normalised NCHW images with their int64 labels, or a whole real set.
        repeat: 0 … config.networks - 1; with config.seed it determines every random choice.

    Raises:
        ValueError: train and test do not fit each other, or the network does not fit the images.
        TrainingDiverged: the training loss is not finite.
        OutOfMemory: a single image does not fit, or a batch of a network that couples samples.
    """
    began = time.monotonic()
    check_fits(train, test)
    network, train_loss = yield from train_network(train, test.num_classes, config, repeat, device=device)
    # Nothing couples samples in evaluation mode.
    answers_N, fitted = with_smaller_batches(
        partial(_answers, network, test, device), config.protocol.batch, least=1, device=device,
        what=f"the test of network {repeat}",
    )  # fmt: skip
    if fitted < config.protocol.batch:
        steps = steps_of(len(train[1] if isinstance(train, tuple) else train), config)
        yield Progress(epoch=config.epochs, epochs=config.epochs, step=steps, steps=steps, micro_batch=fitted)
    return Score(
        confusion=confusion(answers_N, test),
        train_loss=train_loss,
        seconds=time.monotonic() - began,
    )


def train_network(
    train: tuple[Tensor, Tensor] | LabelledImages,
    num_classes: int,
    config: EvaluateConfig,
    repeat: int,
    *,
    purpose: str = "evaluation",
    device: torch.device | str = "cpu",
    observe: Callable[[Network, int, int], None] | None = None,
) -> Generator[Progress, None, tuple[Network, float]]:
    """Train a fresh network as `train_and_score` does, and tests nothing.

    Args:
        purpose: of the network; networks of different purposes share no random choice.
        observe: called with the network, the steps done and those of the whole training: before the first
            step, and after each.

    Returns:
        The network, in evaluation mode, and its mean cross-entropy over the last epoch.

    Raises:
        ValueError: the network does not fit the images.
        TrainingDiverged: the training loss is not finite.
        OutOfMemory: as `train_and_score`.
    """
    if isinstance(train, tuple):
        train = (train[0].to(device), train[1].to(device))
        count, channels, height, width = train[0].shape
    else:
        train = resident(train, device)
        count, channels, (height, width) = len(train), train.channels, train.size
    protocol = config.protocol
    network = build(
        config.network,
        channels,
        (height, width),
        num_classes,
        generator(config.seed, repeat, f"{purpose} network", device),
    )
    optimiser = optimiser_of(protocol, network.parameters())
    steps = steps_of(count, config)
    step, train_loss = 0, 0.0
    micro_batch, reduced_to = protocol.batch, None
    if observe is not None:
        observe(network, 0, steps)

    for epoch in range(1, config.epochs + 1):
        order_N = torch.randperm(count, generator=generator(config.seed, epoch, f"{purpose} order {repeat}"))
        loss_sum = torch.zeros((), device=device)
        for indices_B in torch.split(order_N, protocol.batch):
            step += 1
            optimiser.lr = protocol.lr_at(step, steps, config.epochs)
            x_BCHW, labels_B = training_batch(train, indices_B, device)
            for augmentation in draw_all(
                config, f"{purpose} augmentation {repeat}", step, (height, width), len(indices_B)
            ):
                x_BCHW = apply(augmentation, x_BCHW)
            mix_chance = generator(config.seed, step, f"{purpose} mixing {repeat}")
            mix = draw_cutmix(protocol.cutmix, mix_chance, (height, width), len(indices_B))
            batch_BCHW, targets = mixed(mix, x_BCHW, labels_B)

            def differentiated(micro_batch: int) -> Tensor:
                # Called before the next step gives these names to others, which is what B023 warns of.
                optimiser.zero_grad()
                return _loss_and_gradient(network, batch_BCHW, targets, micro_batch)  # noqa: B023

            loss, fitted = with_smaller_batches(
                differentiated, min(micro_batch, len(indices_B)),
                least=len(indices_B) if network.couples_samples else 1,
                device=device, what=f"the training of {purpose} network {repeat}",
            )  # fmt: skip
            if fitted < min(micro_batch, len(indices_B)):
                micro_batch = reduced_to = fitted
            optimiser.step()
            loss_sum += loss * len(indices_B)
            if observe is not None:
                observe(network, step, steps)
            yield Progress(epoch=epoch, epochs=config.epochs, step=step, steps=steps, micro_batch=reduced_to)
        if epoch % CHECK_EVERY == 0 or epoch == config.epochs:
            train_loss = float(loss_sum) / count
            if not loss_sum.isfinite():
                raise TrainingDiverged(
                    f"the training loss of {purpose} network {repeat} is not finite in epoch {epoch}"
                )

    network.eval()
    return network, train_loss


def steps_of(count: int, config: EvaluateConfig) -> int:
    """Training steps on so many images, over all epochs."""
    return config.protocol.steps_an_epoch(count) * config.epochs


def draw_all(
    config: EvaluateConfig, purpose: str, step: int, size: tuple[int, int], count: int
) -> list[Augmentation]:
    """What a batch of `count` images goes through, one after the other, with parameters for each image."""
    composed, ops = config.protocol.composed, parse_augment(config.augment)
    strategies = [config.augment] if composed is None else [op for op in composed if op in ops]
    return [
        draw(strategy, generator(config.seed, step, f"{purpose} {n}" if n else purpose), size, count=count)
        for n, strategy in enumerate(strategies)
    ]


def mixed(mix: CutMix | None, x_BCHW: Tensor, labels_B: Tensor) -> tuple[Tensor, Targets]:
    """An augmented batch and what it is to be answered, mixed if it is to be."""
    if mix is None:
        return x_BCHW, Targets(labels_B=labels_B)
    partners_B = labels_B[mix.partners_B.to(labels_B.device, non_blocking=True)]
    return mix.mixed(x_BCHW), Targets(labels_B=labels_B, partners_B=partners_B, share=mix.share)


def _loss_and_gradient(network: Network, x_BCHW: Tensor, targets: Targets, micro_batch: int) -> Tensor:
    """The batch's mean cross-entropy, without a graph; adds its gradient to the parameters', part by part."""
    parts = []
    for x_NCHW, own in zip(torch.split(x_BCHW, micro_batch), targets.split(micro_batch), strict=True):
        loss = own.loss(network(x_NCHW))
        if len(x_NCHW) < len(x_BCHW):
            loss = loss * (len(x_NCHW) / len(x_BCHW))
        loss.backward()  # type: ignore[no-untyped-call]
        parts.append(loss.detach())
    return torch.stack(parts).sum()


def training_batch(
    train: tuple[Tensor, Tensor] | LabelledImages, indices_B: Tensor, device: torch.device | str
) -> tuple[Tensor, Tensor]:
    """Normalised images (NCHW) and labels at `indices_B`. Tensors are on the device already."""
    if isinstance(train, LabelledImages):
        return train.normalised(indices_B, device), train.labels(indices_B, device)
    indices_B = indices_B.to(device, non_blocking=True)
    return train[0][indices_B], train[1][indices_B]


@torch.no_grad()
def _answers(network: Network, test: LabelledImages, device: torch.device | str, batch: int) -> Tensor:
    """The class that the network answers for each test image: (N,), on the CPU."""
    batches = torch.split(torch.arange(len(test)), batch)
    answers = [network(test.normalised(indices_B, device)).argmax(dim=1) for indices_B in batches]
    return torch.cat(answers).cpu()


def confusion(answers_N: Tensor, test: LabelledImages) -> tuple[tuple[int, ...], ...]:
    """As `Score` has it, from the class answered for each test image (on the CPU)."""
    by_class = [answers_N[indices] for indices in test.indices_by_class]
    return tuple(tuple(torch.bincount(a, minlength=test.num_classes).tolist()) for a in by_class)


def check_fits(train: tuple[Tensor, Tensor] | LabelledImages, test: LabelledImages) -> None:
    """Whether networks trained on `train` can be tested on `test`.

    Raises:
        ValueError: they cannot.
    """
    if isinstance(train, LabelledImages):
        if (train.channels, train.size, train.num_classes) != (test.channels, test.size, test.num_classes):
            raise ValueError("train and test differ in channels, size or number of classes")
        if (train.mean, train.std) != (test.mean, test.std):
            raise ValueError("train and test are normalised with different mean or std")
        return
    images_NCHW, labels_N = train
    if tuple(images_NCHW.shape[1:]) != (test.channels, *test.size) or images_NCHW.dtype != torch.float32:
        raise ValueError(
            f"train: images are {images_NCHW.dtype} {tuple(images_NCHW.shape)}, "
            f"but the test set needs torch.float32 (N, {test.channels}, {test.size[0]}, {test.size[1]})"
        )
    if tuple(labels_N.shape) != (len(images_NCHW),) or labels_N.dtype != torch.int64 or not len(labels_N):
        raise ValueError(f"train: labels are {labels_N.dtype} {tuple(labels_N.shape)}, not int64 (N > 0,)")
    if int(labels_N.min()) < 0 or int(labels_N.max()) >= test.num_classes:
        raise ValueError(f"train: labels outside 0 to {test.num_classes - 1}")
