"""Herding and k-center against plain references: every candidate tried, by the definition, in float64."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from core.engine.baselines import Embed, Selection, herding, k_center, train_feature_network
from core.engine.config import EvaluateConfig, NetworkConfig
from core.engine.errors import NumericalError, OutOfMemory
from core.engine.images import LabelledImages
from core.engine.protocols.paper import PAPER

from .problems import bright_quarters, random_images

Select = Callable[[LabelledImages, int, Embed], Selection]
Features = npt.NDArray[np.float64]
SMALL_BATCHES = replace(PAPER, batch=16)
CONFIG = EvaluateConfig(
    network=NetworkConfig(width=4, depth=2, norm="batch"), epochs=2, protocol=SMALL_BATCHES
)


def flat(x_NCHW: Tensor) -> Tensor:
    return x_NCHW.flatten(1)


def shifted(x_NCHW: Tensor) -> Tensor:
    """As after a ReLU network: a mean far greater than the differences."""
    return 1000 + x_NCHW.flatten(1)


def features(real: LabelledImages, c: int) -> Features:
    return flat(real.normalised(real.indices_by_class[c], "cpu")).numpy().astype(np.float64)


def herded(features_MF: Features, count: int) -> list[int]:
    picked: list[int] = []
    for _ in range(count):
        distance = {
            i: np.linalg.norm(features_MF[[*picked, i]].mean(axis=0) - features_MF.mean(axis=0))
            for i in range(len(features_MF))
            if i not in picked
        }
        picked.append(min(distance, key=lambda i: distance[i]))
    return picked


def centres(features_MF: Features, count: int) -> list[int]:
    picked = [int(np.linalg.norm(features_MF - features_MF.mean(axis=0), axis=1).argmin())]
    while len(picked) < count:
        nearest = {
            i: min(np.linalg.norm(features_MF[i] - features_MF[p]) for p in picked)
            for i in range(len(features_MF))
            if i not in picked
        }
        picked.append(max(nearest, key=lambda i: nearest[i]))
    return picked


def in_class(selection: Selection, real: LabelledImages, ipc: int) -> dict[int, list[int]]:
    """The picks of each class as positions among its images."""
    by_class = torch.split(selection.indices_N, ipc)
    return {
        c: [real.indices_by_class[c].tolist().index(i) for i in chosen.tolist()]
        for c, chosen in zip(real.classes, by_class, strict=True)
    }


@pytest.mark.parametrize("embed", [flat, shifted])
@pytest.mark.parametrize("seed", range(3))
def test_herding_is_greedy_towards_the_class_mean(embed: Embed, seed: int) -> None:
    real = random_images((20, 0, 300), seed=seed, channels=3)
    found = in_class(herding(real, 12, embed), real, 12)
    assert found == {c: herded(features(real, c), 12) for c in (0, 2)}


@pytest.mark.parametrize("embed", [flat, shifted])
@pytest.mark.parametrize("seed", range(3))
def test_k_center_is_greedy_farthest_first(embed: Embed, seed: int) -> None:
    real = random_images((20, 0, 300), seed=seed, channels=3)
    found = in_class(k_center(real, 12, embed), real, 12)
    assert found == {c: centres(features(real, c), 12) for c in (0, 2)}


@pytest.mark.parametrize("select", [herding, k_center])
def test_a_class_smaller_than_ipc_is_taken_over_and_over(select: Select) -> None:
    real = random_images((20, 3, 0, 8, 1))
    selection = select(real, 8, flat)
    assert real.labels(selection.indices_N, "cpu").tolist() == [0] * 8 + [1] * 8 + [3] * 8 + [4] * 8
    found = in_class(selection, real, 8)
    assert len(set(found[0])) == 8
    assert sorted(found[3]) == list(range(8))
    assert sorted(found[1][:3]) == [0, 1, 2]
    assert found[1] == (found[1][:3] * 3)[:8]
    assert found[4] == [0] * 8


@pytest.mark.parametrize("select", [herding, k_center])
def test_no_image_is_picked_twice_among_duplicates(select: Select) -> None:
    """Four different images, three times each."""
    few = random_images((4,))
    pixels, labels = np.asarray(few.images_NHWC), np.zeros(12, dtype=np.int64)
    real = LabelledImages(np.concatenate([pixels] * 3), labels, few.mean, few.std, 1)
    picked = select(real, 12, flat).indices_N.tolist()
    assert sorted(picked) == list(range(12))
    if select is k_center:
        assert sorted(i % 4 for i in picked[:4]) == [0, 1, 2, 3], "a duplicate is nearer than any other image"


def test_the_feature_network_is_deterministic_and_none_that_evaluates() -> None:
    def trained(seed: int) -> Tensor:
        config = EvaluateConfig(network=CONFIG.network, epochs=2, protocol=SMALL_BATCHES, seed=seed)
        steps = train_feature_network(real, config)
        while True:
            try:
                next(steps)
            except StopIteration as finished:
                embedded: Tensor = finished.value(real.normalised(torch.arange(8), "cpu"))
                alone = finished.value(real.normalised(torch.arange(1), "cpu"))
                assert torch.allclose(embedded[:1], alone, atol=1e-5), "no image's features depend on others"
                return embedded.detach()

    real = bright_quarters(10, seed=1)
    state = torch.get_rng_state()
    first = trained(0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(7)
    assert torch.equal(trained(0), first)
    assert not torch.allclose(trained(1), first)


@pytest.mark.parametrize("select", [herding, k_center])
def test_memory_that_is_short_for_features_halves_what_is_embedded(select: Select) -> None:
    real, sizes = random_images((300, 20)), []

    def scarce(x_NCHW: Tensor) -> Tensor:
        sizes.append(len(x_NCHW))
        if len(x_NCHW) > 100:
            raise torch.OutOfMemoryError
        return flat(x_NCHW)

    assert torch.equal(select(real, 5, scarce).indices_N, select(real, 5, flat).indices_N)
    assert sizes == [256, 128, 64, 64, 64, 64, 44, 20]

    def none_left(x_NCHW: Tensor) -> Tensor:
        raise torch.OutOfMemoryError

    with pytest.raises(OutOfMemory, match="out of memory on cpu in the features of class 0"):
        select(real, 5, none_left)


def test_features_that_are_not_finite_are_an_error() -> None:
    def embed(x_NCHW: Tensor) -> Tensor:
        return x_NCHW.flatten(1) / 0

    with pytest.raises(NumericalError, match="features of class 1 are not finite"):
        herding(random_images((0, 5)), 1, embed)
