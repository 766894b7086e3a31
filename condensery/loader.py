"""Condensed sets as torch data sets. The only module of this package that needs torch."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn.functional import interpolate
from torch.utils.data import Dataset


class CondensedSet(Dataset[tuple[Tensor, int]]):
    """Images with their labels; as items, or whole as `images` and `labels`.

    Attributes:
        images: float32 (N, C, H, W), already normalised: train on them as they are. The bits of the file.
        labels: int64 (N,), indices into `classes`.
        classes: names.
        mean, std: float32 (C,), of pixels in [0, 1].
        card: where the set comes from and how it was made, and how well networks trained on it have done.
        stored, stored_labels: of a set of collages, those that `images` were decoded from; else None.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        card: dict[str, Any],
        stored: Tensor | None = None,
        stored_labels: Tensor | None = None,
    ) -> None:
        self.images, self.labels, self.card = images, labels, card
        self.stored, self.stored_labels = stored, stored_labels
        self.classes: list[str] = card["classes"]
        self.mean = torch.tensor(card["normalisation"]["mean"], dtype=torch.float32)
        self.std = torch.tensor(card["normalisation"]["std"], dtype=torch.float32)

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        shape = " × ".join(map(str, self.images.shape[1:]))
        return f"<CondensedSet: {len(self)} images of {shape}, {len(self.classes)} classes>"

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], int(self.labels[index])

    def normalise(self, images: Tensor) -> Tensor:
        """Real images made like the condensed ones, to test on: uint8, or floats in [0, 1]; (…, C, H, W).

        Raises:
            ValueError: another number of channels.
        """
        if images.ndim < 3 or images.shape[-3] != len(self.mean):
            raise ValueError(
                f"images must be of shape (…, {len(self.mean)}, height, width), got {tuple(images.shape)}"
            )
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images.float()
        mean, std = (one.to(images.device)[:, None, None] for one in (self.mean, self.std))
        return (pixels - mean) / std

    def decode(self, stored: Tensor) -> Tensor:
        """What collages like this set's turn into, tile by tile (the card says how); others stay as they are.

        Args:
            stored: float32 (N, C, H, W), normalised as the set is; its labels are to be repeated as often.

        Raises:
            ValueError: another number of channels.
        """
        if stored.ndim != 4 or stored.shape[1] != len(self.mean):
            raise ValueError(
                f"stored must be of shape (N, {len(self.mean)}, H, W), got {tuple(stored.shape)}"
            )
        if "collages" not in self.card:
            return stored
        factor, (height, width) = self.card["collages"]["factor"], stored.shape[2:]
        tall, wide = -(-height // factor), -(-width // factor)
        grey = ((0.5 - self.mean) / self.std)[:, None, None].to(stored.device)
        padded = grey.repeat(len(stored), 1, factor * tall, factor * wide)
        padded[:, :, :height, :width] = stored
        tiles = [
            padded[:, :, row * tall : (row + 1) * tall, column * wide : (column + 1) * wide]
            for row in range(factor)
            for column in range(factor)
        ]
        return interpolate(torch.cat(tiles), size=(height, width), mode="bilinear", align_corners=False)

    def pixels(self) -> Tensor:
        """The images as pixels: mostly in [0, 1], but matching does not clamp."""
        return self.images * self.std[:, None, None] + self.mean[:, None, None]


def read(path: Path) -> CondensedSet:
    """A condensed.safetensors.

    Raises:
        ValueError: it is none.
        OSError: it cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            card = {field: json.loads(text) for field, text in (file.metadata() or {}).items()}
            images, labels = file.get_tensor("images"), file.get_tensor("labels")
            stored = [file.get_tensor(name) for name in ("stored", "stored_labels") if "collages" in card]
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path} is no condensed set in safetensors form: {error}") from error
    missing = {"classes", "normalisation", "pixels_normalised"} - card.keys()
    if missing or not card["pixels_normalised"]:
        lacks = f"its metadata lacks {', '.join(sorted(missing))}" if missing else "it is not normalised"
        raise ValueError(f"{path} is no condensed set of condensery: {lacks}")
    return CondensedSet(images, labels, card, *stored)
