import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.engine.baselines import random_selection
from core.engine.config import CondenseConfig
from core.engine.sampling import sample
from core.engine.seeds import generator
from core.engine.state import initial_state

from .problems import random_images


def test_a_generator_depends_on_seed_purpose_and_iteration_only() -> None:
    def draw(seed: int, iteration: int, purpose: str) -> float:
        return float(torch.rand((), generator=generator(seed, iteration, purpose), dtype=torch.float64))

    keys = [(s, i, p) for s in range(5) for i in range(5) for p in ("a", "b", "1/a")]
    drawn = {key: draw(*key) for key in keys}
    assert len(set(drawn.values())) == len(keys)
    assert {key: draw(*key) for key in reversed(keys)} == drawn


@given(size=st.integers(1, 60), count=st.integers(1, 60), seed=st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_no_index_is_drawn_twice_before_all_are(size: int, count: int, seed: int) -> None:
    indices_M = torch.arange(size) * 3 + 100
    chosen = sample(indices_M, count, generator(seed, 0, "test"))
    assert len(chosen) == count
    assert set(chosen.tolist()) <= set(indices_M.tolist())
    for first in range(0, count, size):
        turn = chosen[first : first + size].tolist()
        assert len(set(turn)) == len(turn)


@pytest.mark.parametrize(("size", "count"), [(40, 4), (40, 19), (40, 21), (40, 40), (10, 30)])
def test_every_index_is_drawn_equally_often(size: int, count: int) -> None:
    rounds = 4000
    chance = generator(0, 0, "test")
    drawn = torch.cat([sample(torch.arange(size), count, chance) for _ in range(rounds)])
    share = torch.bincount(drawn, minlength=size).double() / rounds
    assert float((share - count / size).abs().max()) < 0.06 * max(1.0, count / size)


def test_an_empty_class_is_refused() -> None:
    with pytest.raises(ValueError, match="no images"):
        sample(torch.arange(0), 1, generator(0, 0, "test"))


def test_a_small_class_takes_part_whole_in_every_batch() -> None:
    """The paper's 256 images of a class that has 200; ten initial images of a class that has 9."""
    drawn = torch.bincount(sample(torch.arange(200), 256, generator(0, 0, "test")), minlength=200)
    assert drawn.min() == 1 and drawn.max() == 2
    real = random_images((9, 30))
    state = initial_state(real, CondenseConfig(ipc=10))
    own_NCHW = real.normalised(real.indices_by_class[0], "cpu")
    matches = (state.tensors["images_NCHW"][:10, None] == own_NCHW).flatten(2).all(dim=2)
    assert sorted(matches.sum(dim=0).tolist()) == [1] * 8 + [2]


def test_random_selection_is_class_major_and_repeats_small_classes() -> None:
    real = random_images((20, 3, 0, 8))
    selection = random_selection(real, 8, seed=1)
    labels = real.labels(selection.indices_N, "cpu").tolist()
    assert labels == [0] * 8 + [1] * 8 + [3] * 8
    assert sorted(torch.bincount(selection.indices_N)[real.indices_by_class[1]].tolist()) == [2, 3, 3]
    assert len(set(selection.indices_N[:8].tolist())) == 8
    assert sorted(selection.indices_N[16:].tolist()) == real.indices_by_class[3].tolist()
    assert torch.equal(selection.indices_N, random_selection(real, 8, seed=1).indices_N)
    assert not torch.equal(selection.indices_N, random_selection(real, 8, seed=2).indices_N)
