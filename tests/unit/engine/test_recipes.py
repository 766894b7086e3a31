"""The recipes' settings, and that images are moved by them at every number of images per class."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from torch import Tensor

from core.engine import recipes as recipes_module
from core.engine.augment import draw
from core.engine.condense import condense
from core.engine.config import CondenseConfig, NetworkConfig
from core.engine.images import LabelledImages
from core.engine.matching import matching_loss_and_gradient
from core.engine.networks.build import build
from core.engine.objectives.mean import Mean
from core.engine.recipes import RECIPES
from core.engine.seeds import generator
from core.engine.state import initial_state

from .problems import bright_quarters

IPCS = (1, 10, 50, 100, 1000)
TINY = NetworkConfig(width=4, depth=2)


def test_recipes_are_importable_without_torch() -> None:
    code = "import sys, core.engine.recipes; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    root = Path(recipes_module.__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_dm_is_the_papers() -> None:
    assert RECIPES["dm"].settings(10) == {
        "iterations": 20_000, "batch_real": 256, "batch_synthetic": None, "lr": 1.0, "lr_decay": 0.0,
        "momentum": 0.5, "objective": "mean", "form": "pixels",
    }  # fmt: skip
    assert RECIPES["dm"].method(10) == {
        "source": "fresh", "composed": False, "clamp": False, "pool": None, "expert": 0.0,
    }  # fmt: skip
    assert [RECIPES["dm"].lr(ipc) for ipc in IPCS] == [1, 1, 1, 10, 10]


def test_the_lr_of_fast_is_the_papers_largest() -> None:
    assert [RECIPES["fast"].lr(ipc) for ipc in IPCS] == [10] * len(IPCS)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_fits_every_ipc(name: str) -> None:
    recipe = RECIPES[name]
    said = {field.name for field in dataclasses.fields(recipe)} - {"title", "link"}
    assert recipe.title and recipe.link.startswith("https://arxiv.org/abs/")
    for ipc in (*IPCS, 10_000):
        chosen = recipe.method(ipc) | recipe.settings(ipc)
        assert set(chosen) == said
        CondenseConfig(ipc=ipc, **chosen)


def gain(real: LabelledImages, name: str, ipc: int, iterations: int, **changed: float) -> float:
    """Loss after so many iterations of the recipe, from random real images, over the loss before."""
    settings = {**RECIPES[name].settings(ipc), "iterations": iterations, **changed}
    config = CondenseConfig(ipc=ipc, network=TINY, **settings)
    start = initial_state(real, config)
    *_, last = condense(real, config, state=start)
    return loss(real, last.state.tensors["images_NCHW"]) / loss(real, start.tensors["images_NCHW"])


def loss(real: LabelledImages, synthetic_NCHW: Tensor) -> float:
    """Over all real images, in networks that no iteration has, without augmentation."""
    batches = [real.normalised(real.indices_by_class[c], "cpu") for c in real.classes]
    plain = [draw("none", generator(0, 0, "augmentation"), real.size)] * len(batches)
    total = 0.0
    for n in range(3):
        network = build(TINY, real.channels, real.size, real.num_classes, generator(99, n, "network"))
        network.requires_grad_(False)
        total += float(matching_loss_and_gradient(Mean(), network, batches, synthetic_NCHW, plain, 64)[0])
    return total


def test_fast_brings_the_means_closer_at_every_ipc() -> None:
    real = bright_quarters(1_200, seed=0, classes=2)
    for ipc in (1, 10, 100, 1_000):
        assert gain(real, "fast", ipc, 40) < 0.99, ipc
    # Negative control: a learning rate in proportion to ipc throws many images about.
    assert gain(real, "fast", 1_000, 20, lr=1_000) > 1


def test_the_short_recipe_takes_larger_steps_and_a_weaker_expert_for_more_images() -> None:
    recipe = RECIPES["dance-short"]
    assert [recipe.lr(ipc) for ipc in IPCS] == [2, 20, 100, 100, 100]
    assert [recipe.expert(ipc) for ipc in (1, 10, 50, 100)] == [5, 5, 1, 1]
    assert recipe.expert(30) == pytest.approx(5**0.5)
