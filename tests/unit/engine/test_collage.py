"""Collages: made and decoded on one grid, against plain loops."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from core.engine.condense import condense
from core.engine.config import CondenseConfig, NetworkConfig
from core.engine.forms import FORMS
from core.engine.forms.collage import Collage, collages_of, decode, encode, grey
from core.engine.images import LabelledImages
from core.engine.state import decoded, initial_state, stored

from .problems import random_images

SIDES = range(24, 65)
GREY_C = torch.tensor([0.3, -0.2])


def plain_decode(collages_NCHW: Tensor, factor: int) -> list[Tensor]:
    """Tile by tile and image by image, by torch's own resizing."""
    count, _, height, width = collages_NCHW.shape
    tall, wide = math.ceil(height / factor), math.ceil(width / factor)
    padded = GREY_C[None, :, None, None].repeat(count, 1, tall * factor, wide * factor)
    padded[:, :, :height, :width] = collages_NCHW
    images = []
    for row in range(factor):
        for column in range(factor):
            for n in range(count):
                tile = padded[
                    n : n + 1, :, row * tall : (row + 1) * tall, column * wide : (column + 1) * wide
                ]
                images.append(
                    interpolate(tile, size=(height, width), mode="bilinear", align_corners=False)[0]
                )
    return images


@pytest.mark.parametrize("factor", [2, 3])
def test_decoding_is_a_plain_loop_over_tiles_for_every_side(factor: int) -> None:
    chance = torch.Generator().manual_seed(factor)
    for side in SIDES:
        collages_NCHW = torch.randn(2, 2, side, side + 5, generator=chance)
        expected_NCHW = torch.stack(plain_decode(collages_NCHW, factor))
        found_NCHW = decode(collages_NCHW, factor, GREY_C)
        assert torch.allclose(found_NCHW, expected_NCHW, rtol=0, atol=1e-5), side


@pytest.mark.parametrize("factor", [2, 3])
def test_the_gradient_is_that_of_the_plain_loop(factor: int) -> None:
    chance = torch.Generator().manual_seed(factor)
    for side in (24, 25, 28, 32):
        x_NCHW = torch.randn(2, 2, side, side, generator=chance)
        weight_NCHW = torch.randn(2 * factor**2, 2, side, side, generator=chance)
        own_NCHW, plain_NCHW = (x_NCHW.clone().requires_grad_() for _ in range(2))
        pairs = (
            (own_NCHW, decode(own_NCHW, factor, GREY_C)),
            (plain_NCHW, torch.stack(plain_decode(plain_NCHW, factor))),
        )
        found, expected = (torch.autograd.grad((y * weight_NCHW).sum(), x)[0] for x, y in pairs)
        assert torch.allclose(found, expected, rtol=0, atol=1e-4), side


@pytest.mark.parametrize("factor", [2, 3])
def test_a_tile_is_the_mean_over_the_area_that_it_stands_for(factor: int) -> None:
    chance = torch.Generator().manual_seed(factor)
    for side in SIDES:
        tall, wide = math.ceil(side / factor), math.ceil(24 / factor)
        images_NCHW = torch.randn(2 * factor**2, 1, side, 24, generator=chance)
        # Each pixel as many times as the tile has rows, so that a row of the tile is the mean of whole ones.
        finely = images_NCHW.repeat_interleave(tall, dim=2).repeat_interleave(wide, dim=3)
        small = finely.view(-1, tall, side, wide, 24).mean(dim=(2, 4))
        collages_NCHW = encode(images_NCHW, factor)
        assert collages_NCHW.shape == (2, 1, side, 24)
        for which, tile in enumerate(small):
            place, n = divmod(which, 2)
            top, left = place // factor * tall, place % factor * wide
            found = collages_NCHW[n, 0, top : top + tall, left : left + wide]
            assert torch.allclose(found, tile[: len(found)], atol=1e-5), (side, which)


def test_where_the_factor_divides_the_side_a_tile_is_made_of_block_means() -> None:
    x_NCHW = torch.randn(9, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    (collage_CHW,) = encode(x_NCHW, 3)
    blocks = x_NCHW[5].view(3, 8, 3, 8, 3).mean(dim=(2, 4))
    assert torch.allclose(collage_CHW[:, 8:16, 16:24], blocks, atol=1e-6)


def numbered(per_class: int, side: int = 24) -> LabelledImages:
    """Each image one grey level, by which it is known."""
    levels = np.arange(3 * per_class, dtype=np.uint8) + 1
    images = np.broadcast_to(levels[:, None, None, None], (3 * per_class, side, side, 1)).copy()
    return LabelledImages(images, np.repeat(np.arange(3), per_class), (0.5,), (0.25,), 3)


@pytest.mark.parametrize("form", ["collage-2", "collage-3"])
def test_it_starts_as_distinct_real_images_of_the_class(form: str) -> None:
    real = numbered(30)
    config = CondenseConfig(ipc=3, form=form, seed=3)
    images_NCHW, labels_N = decoded(initial_state(real, config), real, config)
    levels = ((images_NCHW * 0.25 + 0.5) * 255).flatten(1)
    assert torch.allclose(levels, levels.mean(dim=1, keepdim=True).expand_as(levels), atol=1e-3)
    seen = levels.mean(dim=1).round().int().tolist()
    assert len(set(seen)) == len(seen) == 3 * 3 * FORMS[form].factor ** 2
    assert [(level - 1) // 30 for level in seen] == labels_N.tolist()


def test_labels_are_those_of_the_stored_images_once_for_each_tile() -> None:
    real = numbered(30)
    config = CondenseConfig(ipc=2, form="collage-2")
    state = initial_state(real, config)
    _, labels_N = decoded(state, real, config)
    assert labels_N.tolist() == [0, 0, 1, 1, 2, 2] * 4
    images_NCHW, stored_labels_N = stored(state, real, config)
    assert images_NCHW.shape == (6, 1, 24, 24) and stored_labels_N.tolist() == [0, 0, 1, 1, 2, 2]


def test_a_random_selection_is_made_collages_in_the_same_way() -> None:
    real = random_images((12, 20, 9), channels=3)
    indices_N = torch.cat([indices[:8] for indices in real.indices_by_class])
    collages_NCHW = collages_of(real, indices_N, ipc=2, factor=2, device="cpu")
    second = real.normalised(real.indices_by_class[1][3:4], "cpu")  # tile 1 of the class's second collage
    tile_CHW = second[0].view(3, 8, 2, 8, 2).mean(dim=(2, 4))
    assert torch.allclose(collages_NCHW[3, :, :8, 8:], tile_CHW, atol=1e-6)


def test_clamped_images_can_be_held_by_a_file() -> None:
    real = random_images((12, 12, 12), channels=3)
    network = NetworkConfig(width=4, depth=2)
    config = CondenseConfig(
        ipc=2, iterations=3, batch_real=8, lr=50.0, network=network, form="collage-2", clamp=True
    )
    *_, last = condense(real, config)
    *_, free = condense(real, replace(config, clamp=False))
    std, mean = (torch.tensor(values)[:, None, None] for values in (real.std, real.mean))
    pixels, others = (one.state.tensors["images_NCHW"] * std + mean for one in (last, free))
    assert float(pixels.min()) > -1e-6 and float(pixels.max()) < 1 + 1e-6
    assert float(others.min()) < 0 or float(others.max()) > 1, "negative control: it has something to do"


def test_padding_is_grey_in_the_space_of_the_images() -> None:
    real = numbered(12, side=25)
    config = CondenseConfig(ipc=1, form="collage-2")
    form = Collage(real, config)
    collages_NCHW = form.initial(torch.Generator().manual_seed(0), "cpu")["images_NCHW"]
    assert torch.equal(grey(real), torch.tensor([0.0]))
    last_NCHW = form.decode({"images_NCHW": collages_NCHW})[-3:]
    assert torch.allclose(last_NCHW[:, :, -1], torch.zeros(3, 1, 25), atol=1e-6)
