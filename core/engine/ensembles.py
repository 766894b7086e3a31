"""An ensemble of evaluation networks: evaluate.py's training for several repeats at once.

A small network leaves a GPU waiting for the host; an ensemble of as many as are wanted does not. On a CPU
this brings nothing.
"""

import time
from collections.abc import Generator, Sequence

import torch
from torch import Tensor

from core.engine.augment import Augmentation, apply
from core.engine.config import EvaluateConfig
from core.engine.cutmix import draw_cutmix
from core.engine.errors import TrainingDiverged
from core.engine.evaluate import (
    CHECK_EVERY,
    Progress,
    Score,
    check_fits,
    confusion,
    draw_all,
    mixed,
    steps_of,
    training_batch,
)
from core.engine.images import LabelledImages, resident
from core.engine.networks.build import build
from core.engine.networks.ensemble import Ensemble
from core.engine.optimisers import optimiser_of
from core.engine.seeds import generator


def train_and_score_ensemble(
    train: tuple[Tensor, Tensor] | LabelledImages,
    test: LabelledImages,
    config: EvaluateConfig,
    repeats: Sequence[int],
    *,
    device: torch.device | str = "cpu",
) -> Generator[Progress, None, list[Score]]:
    """Train the networks of these numbers at once, yielding after every step; return their scores in order.

    Each network's weights, orders and augmentations are those that `train_and_score` gives it, so its score
    is too, to rounding. Memory grows with the number of networks.

    Args:
        train, test, config: as `train_and_score` takes them.
        repeats: at least one, each different.

    Returns:
        Scores; the seconds of each are its share of the whole.

    Raises:
        ValueError: train and test do not fit each other, or the network does not fit the images.
        TrainingDiverged: the loss of a network is not finite.
    """
    if not repeats or len(set(repeats)) < len(repeats):
        raise ValueError(f"repeats: {list(repeats)} must be at least one number, each different")
    began = time.monotonic()
    check_fits(train, test)
    protocol = config.protocol
    if isinstance(train, tuple):
        train = (train[0].to(device), train[1].to(device))
        count = len(train[0])
    else:
        train, count = resident(train, device), len(train)
    networks = Ensemble(
        [
            build(
                config.network,
                test.channels,
                test.size,
                test.num_classes,
                generator(config.seed, repeat, "evaluation network", device),
            )
            for repeat in repeats
        ]
    )
    optimiser = optimiser_of(protocol, networks.parameters())
    steps = steps_of(count, config)
    step, losses = 0, [0.0] * len(repeats)

    for epoch in range(1, config.epochs + 1):
        order_MN = torch.stack(
            [
                torch.randperm(count, generator=generator(config.seed, epoch, f"evaluation order {repeat}"))
                for repeat in repeats
            ]
        )
        loss_sum_M = torch.zeros(len(repeats), device=device)
        for indices_MB in torch.split(order_MN, protocol.batch, dim=1):
            step += 1
            optimiser.lr = protocol.lr_at(step, steps, config.epochs)
            size = indices_MB.shape[1]
            x_NCHW, labels_N = training_batch(train, indices_MB.flatten(), device)
            x_MBCHW = x_NCHW.view(*indices_MB.shape, *x_NCHW.shape[1:])
            by_network = [
                draw_all(config, f"evaluation augmentation {repeat}", step, test.size, size)
                for repeat in repeats
            ]
            for augmentations in zip(*by_network, strict=True):
                x_MBCHW = apply_each(augmentations, x_MBCHW)
            labels_MB = labels_N.view(indices_MB.shape)
            mixes = [
                draw_cutmix(
                    protocol.cutmix,
                    generator(config.seed, step, f"evaluation mixing {repeat}"),
                    test.size,
                    size,
                )
                for repeat in repeats
            ]
            batches, targets = zip(*map(mixed, mixes, x_MBCHW, labels_MB), strict=True)
            logits_MBL = networks(torch.stack(batches))
            loss_M = torch.stack(
                [own.loss(logits_BL) for own, logits_BL in zip(targets, logits_MBL, strict=True)]
            )
            optimiser.zero_grad()
            # The sum over networks: no network's loss depends on another's parameters.
            loss_M.sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            loss_sum_M += loss_M.detach() * size
            yield Progress(epoch=epoch, epochs=config.epochs, step=step, steps=steps)
        if epoch % CHECK_EVERY == 0 or epoch == config.epochs:
            losses = (loss_sum_M / count).tolist()
            for repeat, finite in zip(repeats, loss_sum_M.isfinite().tolist(), strict=True):
                if not finite:
                    raise TrainingDiverged(
                        f"the training loss of evaluation network {repeat} is not finite in epoch {epoch}"
                    )

    networks.eval()
    answers_MN = _answers(networks, test, protocol.batch, device)
    share = (time.monotonic() - began) / len(repeats)
    return [
        Score(confusion=confusion(answers_N, test), train_loss=loss, seconds=share)
        for answers_N, loss in zip(answers_MN, losses, strict=True)
    ]


def apply_each(augmentations: Sequence[Augmentation], x_MBCHW: Tensor) -> Tensor:
    """Each batch augmented by its own; those of one op go together, to launch less."""
    augmented_MBCHW = torch.empty_like(x_MBCHW)
    batch = x_MBCHW.shape[1]
    for op in sorted({a.op for a in augmentations}):
        chosen = [m for m, a in enumerate(augmentations) if a.op == op]
        values_PK = torch.cat([augmentations[m].values_PK.expand(batch, -1) for m in chosen])
        joined = Augmentation(op=op, values_PK=values_PK)
        chosen_G = torch.tensor(chosen).to(x_MBCHW.device, non_blocking=True)
        x_NCHW = apply(joined, x_MBCHW[chosen_G].flatten(0, 1))
        augmented_MBCHW[chosen_G] = x_NCHW.view(-1, *x_MBCHW.shape[1:])
    return augmented_MBCHW


@torch.no_grad()
def _answers(networks: Ensemble, test: LabelledImages, batch: int, device: torch.device | str) -> Tensor:
    """The class that each network answers for each test image: (M, N), on the CPU."""
    answers = []
    for indices_B in torch.split(torch.arange(len(test)), batch):
        x_BCHW = test.normalised(indices_B, device)
        logits_MBL = networks(x_BCHW.expand(networks.count, *x_BCHW.shape))
        answers.append(logits_MBL.argmax(dim=2))
    return torch.cat(answers, dim=1).cpu()
