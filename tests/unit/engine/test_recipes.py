"""The recipes' settings, and that images are moved by them at every number of images per class."""

import dataclasses
import subprocess
import sys
from itertools import islice, pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from core.engine import recipes as recipes_module
from core.engine.augment import draw
from core.engine.condense import condense, initial_state
from core.engine.config import CondenseConfig, NetworkConfig
from core.engine.images import LabelledImages
from core.engine.matching import matching_loss
from core.engine.networks import build
from core.engine.recipes import RECIPES
from core.engine.seeds import generator

from .problems import bright_quarters

IPCS = (1, 10, 50, 100, 1000)
TINY = NetworkConfig(width=4, depth=2)


def test_recipes_are_importable_without_torch() -> None:
    code = "import sys, core.engine.recipes; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    root = Path(recipes_module.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_dm_is_the_papers() -> None:
    assert RECIPES["dm"].settings(10) == {
        "iterations": 20_000, "batch_real": 256, "lr": 1.0, "lr_decay": 0.0, "momentum": 0.5,
    }  # fmt: skip
    assert [RECIPES["dm"].lr(ipc) for ipc in IPCS] == [1, 1, 1, 10, 10]


def test_the_lr_of_fast_is_proportional_to_ipc() -> None:
    lr = RECIPES["fast"].lr
    assert [lr(ipc) / lr(1) for ipc in IPCS] == pytest.approx(IPCS)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_fits_every_ipc(name: str) -> None:
    settings = {field.name for field in dataclasses.fields(RECIPES[name])}
    for ipc in (*IPCS, 10_000):
        chosen = RECIPES[name].settings(ipc)
        assert set(chosen) == settings
        CondenseConfig(ipc=ipc, **chosen)  # type: ignore[arg-type]


def moved(real: LabelledImages, name: str, ipc: int) -> tuple[list[float], float]:
    """RMS change of the images in each of the first iterations; then over before of the loss."""
    # From noise, which is as far from the real means at every ipc. Random real images are near them at a
    # large ipc, and what moves those is then the chance of each iteration's real batch.
    config = CondenseConfig(ipc=ipc, init="noise", network=TINY, **RECIPES[name].settings(ipc))  # type: ignore[arg-type]
    start = initial_state(real, config)
    states = [start, *(step.state for step in islice(condense(real, config, state=start), 4))]
    images = [state.images_NCHW for state in states]
    rms = [float((after - before).square().mean().sqrt()) for before, after in pairwise(images)]
    return rms, loss(real, images[-1]) / loss(real, images[0])


def loss(real: LabelledImages, synthetic_NCHW: Tensor) -> float:
    """Over all real images, in networks that no iteration has, without augmentation."""
    batches = [real.normalised(real.indices_by_class[c], "cpu") for c in real.classes]
    plain = [draw("none", generator(0, 0, "augmentation"), real.size)] * len(batches)
    total = 0.0
    for n in range(3):
        network = build(TINY, real.channels, real.size, real.num_classes, generator(99, n, "network"))
        with torch.no_grad():
            total += float(matching_loss(network, batches, synthetic_NCHW, plain))
    return total


def test_fast_moves_images_alike_at_every_ipc() -> None:
    real = bright_quarters(30, seed=0, classes=2)
    by_ipc = {ipc: moved(real, "fast", ipc) for ipc in (1, 10, 100, 1000)}
    for rms, ratio in by_ipc.values():
        assert ratio < 0.5
        # Each iteration by itself: all draw the same networks, real images and augmentations.
        for one, other in zip(rms, by_ipc[10][0], strict=True):
            assert 0.5 < one / other < 2
    # Negative control: a learning rate that does not grow with ipc leaves large sets where they are.
    dm = {ipc: moved(real, "dm", ipc) for ipc in (10, 1000)}
    assert all(one < other / 5 for one, other in zip(dm[1000][0], dm[10][0], strict=True))
    assert all(ratio < 1 for _, ratio in dm.values())
