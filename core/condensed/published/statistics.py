"""Means and standard deviations that published code normalises by, of pixels in [0, 1]."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Statistics:
    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    used_by: str

    def box(self) -> tuple[tuple[float, float], ...]:
        """By channel: where a black and a white pixel fall. Real images clipped to [0, 1] touch both ends."""
        return tuple((-mean / std, (1 - mean) / std) for mean, std in zip(self.mean, self.std, strict=True))


CIFAR10 = (0.4914, 0.4822, 0.4465)
KNOWN = (
    Statistics("CIFAR-10's in published code", CIFAR10, (0.2023, 0.1994, 0.2010),
               "nearly all, and for CIFAR-100 too by MTT, FTD, DATM, IDC and what follows it"),
    Statistics("CIFAR-10's true ones", CIFAR10, (0.2470, 0.2435, 0.2616), "KIP, FRePo, RCIG, RFAD"),
    Statistics("CIFAR-100's", (0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762),
               "DC, DSA, DM, IDM, DataDAM"),
    Statistics("ImageNet's", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225),
               "ImageNet, its subsets, Tiny ImageNet"),
    Statistics("SVHN's", (0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970), "DC, IDC and what follows them"),
    Statistics("MNIST's", (0.1307,), (0.3081,), "DC, IDC and what follows them"),
    Statistics("Fashion-MNIST's", (0.2861,), (0.3530,), "DC, IDC and what follows them"),
)  # fmt: skip

MOST = 0.02
"""Two statistics are the same if no value differs by more."""


def agree(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return len(one) == len(other) and all(abs(a - b) <= MOST for a, b in zip(one, other, strict=True))


def candidates(channels: int) -> tuple[Statistics, ...]:
    """Those of that many channels."""
    return tuple(one for one in KNOWN if len(one.mean) == channels)


def numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.4g}" for value in values)
