"""Condensed sets to export: of 1, 3 and 4 channels, with awkward class names and an empty class."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from core.engine.forms.collage import GREY, decode
from core.export.collages import Collages
from core.export.condensed import CondensedSet

NAMES = (
    "plain",
    "a/b\\c",
    "..",
    "two words",
    "Übergröße",
    "猫.jpg",
    "nobody",
    "x|y`<b>",
    "50%",
    "é" * 90,
    "ten",
)
EMPTY = NAMES.index("nobody")
MAKE = Callable[..., CondensedSet]


def card() -> dict[str, Any]:
    row = {"network": "ConvNet-3-128", "accuracy_mean": 0.4891, "accuracy_std": 0.0062, "n": 20}
    return {
        "created_by": "condensery 0.1.0",
        "source": {"name": "cifar | 10", "sha256": "ab" * 32, "license": "CC BY 4.0", "images": 50_000},
        "config": {"ipc": 2, "iterations": 20_000, "learning_rate": 1.0},
        "seeds": {"condense": 7, "evaluate": [1, 2, 3]},
        "engine": {"version": "0.1.0", "torch": "2.15.0", "device": "cpu"},
        "compute": {"flops": 8_240_000_000_000, "flops_per_iteration": 412_000_000},
        "evaluation": {
            "protocol": "1000 epochs, last epoch",
            "limits": ["Evaluated on 32 px only."],
            "results": [
                {"images": "condensed set", **row},
                {"images": "random real", **row, "accuracy_mean": 0.26, "accuracy_std": None, "n": 1},
            ],
        },
    }


def build(
    *, channels: int = 3, height: int = 8, width: int = 6, ipc: int = 2, **changes: object
) -> CondensedSet:
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(NAMES)), ipc)
    labels = generator.permutation(labels[labels != EMPTY]).astype(np.int64)
    fields: dict[str, Any] = {
        # Three standard deviations reach far beyond the range of real pixels.
        "images_NCHW": generator.normal(size=(len(labels), channels, height, width)).astype(np.float32) * 1.5,
        "labels_N": labels,
        "classes": NAMES,
        "mean": (0.4914, 0.4822, 0.4465, 0.9)[:channels],
        "std": (0.2023, 0.1994, 0.2010, 0.3)[:channels],
        "card": card(),
    }
    return CondensedSet(**{**fields, **changes})


def build_collages(factor: int = 2, **changes: Any) -> CondensedSet:
    """As the engine decodes them."""
    stored = build(**changes)
    # Enlarging takes the mean of neighbours: as many values as ever are to lie outside of real pixels.
    stored = replace(stored, images_NCHW=stored.images_NCHW * 2)
    mean, std = np.array(stored.mean, np.float32), np.array(stored.std, np.float32)
    grey_C = torch.from_numpy((GREY - mean) / std)
    return replace(
        stored,
        images_NCHW=decode(torch.from_numpy(stored.images_NCHW), factor, grey_C).numpy(),
        labels_N=np.tile(stored.labels_N, factor**2),
        collages=Collages(images_NCHW=stored.images_NCHW, labels_N=stored.labels_N, factor=factor),
    )


@pytest.fixture
def make() -> MAKE:
    return build


@pytest.fixture(params=[1, 3, 4, 0], ids=["grey", "colour", "alpha", "collages"])
def condensed(request: pytest.FixtureRequest) -> CondensedSet:
    return build(channels=request.param) if request.param else build_collages(3)
