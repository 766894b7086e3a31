"""What a protocol is: how a network is trained on a set whose worth is to be measured."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EvaluationProtocol:
    """Augmented batches, which take every image once an epoch; tested once, after the last epoch.

    title, link: of the paper that it is from.
    epochs: by default; None if it counts steps instead: the epochs of a set are then as few as give `steps`.
    optimiser: "sgd" or "adamw" (Loshchilov & Hutter, https://arxiv.org/abs/1711.05101).
    lr, weight_decay: of the optimiser. momentum: of SGD. batch: images in each step.
    lr_drops: (share of the epochs after which, factor by which) the learning rate is multiplied.
    rise: share of the steps over which the learning rate rises from 0, to fall linearly to 0 over all others;
        None if it does not.
    composed: operations that each batch goes through, one after the other, as far as the training's
        augmentation has them; None if it goes through one of that augmentation's, drawn anew each time.
    cutmix: probability that a batch is mixed (core/engine/cutmix.py).
    """

    title: str
    link: str
    lr: float
    weight_decay: float
    batch: int
    epochs: int | None = None
    steps: int = 0
    optimiser: str = "sgd"
    momentum: float = 0.9
    lr_drops: tuple[tuple[float, float], ...] = ()
    rise: float | None = None
    composed: tuple[str, ...] | None = None
    cutmix: float = 0.0

    def steps_an_epoch(self, images: int) -> int:
        return math.ceil(images / self.batch)

    def epochs_on(self, images: int) -> int:
        """By default, on a set of so many images."""
        if self.epochs is not None:
            return self.epochs
        return math.ceil(self.steps / self.steps_an_epoch(images))

    def lr_at(self, step: int, steps: int, epochs: int) -> float:
        """Learning rate of `step` of `steps`, counted from 1, over so many epochs."""
        if self.rise is not None:
            rising = self.rise * steps
            return self.lr * (step / rising if step < rising else (steps - step + 1) / (steps - rising + 1))
        return self.lr_in_epoch((step - 1) * epochs // steps + 1, epochs)

    def lr_in_epoch(self, epoch: int, epochs: int) -> float:
        """Of one whose learning rate drops: that of `epoch` of `epochs`, counted from 1."""
        lr = self.lr
        for share, factor in self.lr_drops:
            if epoch > int(share * epochs):
                lr *= factor
        return lr

    def described(self, epochs: int) -> str:
        """For people to read: optimiser and batches, over so many epochs."""
        if self.rise is None:
            course = "".join(
                f", from epoch {first:,} on {_share(self.lr_in_epoch(first, epochs) / self.lr)} of it"
                for first in (int(share * epochs) + 1 for share, _ in self.lr_drops)
            )
        else:
            course = f", risen to over the first {self.rise:.0%} of the steps and fallen to 0 over the others"
        momentum = f"momentum {self.momentum:g}, " if self.optimiser == "sgd" else ""
        mixing = f", CutMix with probability {self.cutmix:g}" if self.cutmix else ""
        name = "SGD" if self.optimiser == "sgd" else "AdamW"
        settings = f"lr {self.lr:g}{course}; {momentum}weight decay {self.weight_decay:g}"
        return f"{name} ({settings}), batch {self.batch}{mixing}"


def _share(factor: float) -> str:
    return "a tenth" if f"{factor:g}" == "0.1" else f"{factor:g}"
