"""What a protocol is: how a network is trained on a set whose worth is to be measured."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EvaluationProtocol:
    """SGD on augmented batches, which take every image once an epoch; tested once, after the last epoch.

    title, link: of the paper that it is from.
    epochs: by default.
    lr, momentum, weight_decay: of SGD. batch: images in each step.
    lr_drops: (share of the epochs after which, factor by which) the learning rate is multiplied.
    """

    title: str
    link: str
    epochs: int
    lr: float
    momentum: float
    weight_decay: float
    batch: int
    lr_drops: tuple[tuple[float, float], ...] = ()

    def lr_in_epoch(self, epoch: int, epochs: int) -> float:
        """Learning rate in `epoch` of `epochs`, counted from 1."""
        lr = self.lr
        for share, factor in self.lr_drops:
            if epoch > int(share * epochs):
                lr *= factor
        return lr

    def described(self, epochs: int) -> str:
        """For people to read: optimiser and batches, over so many epochs."""
        drops = [
            f", from epoch {first:,} on {_share(self.lr_in_epoch(first, epochs) / self.lr)} of it"
            for first in (int(share * epochs) + 1 for share, _ in self.lr_drops)
        ]
        return (
            f"SGD (lr {self.lr:g}{''.join(drops)}; momentum {self.momentum:g}, weight decay "
            f"{self.weight_decay:g}), batch {self.batch}"
        )


def _share(factor: float) -> str:
    return "a tenth" if f"{factor:g}" == "0.1" else f"{factor:g}"
