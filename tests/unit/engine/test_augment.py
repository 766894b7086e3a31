import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from core.engine.augment import Augmentation, apply, draw, draw_chain
from core.engine.config import AUGMENT_ALL, AUGMENT_OPS, CondenseConfig
from core.engine.resample import affine_resample
from core.engine.seeds import generator

from .problems import noise

SEEDS = st.integers(0, 2**32)
SIZES = st.tuples(st.integers(16, 24), st.integers(16, 24))


def images(count: int, channels: int, size: tuple[int, int], seed: int = 0) -> Tensor:
    return torch.randn(count, channels, *size, generator=generator(seed, 0, "images"), dtype=torch.float64)


def by_hand(op: str, *values: float) -> Augmentation:
    return Augmentation(op=op, values_PK=torch.tensor([values], dtype=torch.float64))


@pytest.mark.parametrize("op", AUGMENT_OPS)
@given(seed=SEEDS, size=SIZES)
@settings(max_examples=15, deadline=None)
def test_one_draw_does_the_same_to_an_image_in_any_batch(op: str, seed: int, size: tuple[int, int]) -> None:
    augmentation = draw(op, generator(seed, 0, "test"), size)
    x_NCHW = images(5, 3, size, seed)
    whole, alone = apply(augmentation, x_NCHW), apply(augmentation, x_NCHW[3:4])
    assert torch.allclose(whole[3:4], alone, rtol=0, atol=1e-12)


@pytest.mark.parametrize("op", AUGMENT_OPS)
@given(seed=SEEDS, size=SIZES)
@settings(max_examples=15, deadline=None)
def test_parameters_for_each_image_go_to_that_image(op: str, seed: int, size: tuple[int, int]) -> None:
    augmentation = draw(op, generator(seed, 0, "test"), size, count=4)
    x_NCHW = images(4, 3, size, seed)
    together = apply(augmentation, x_NCHW)
    for i in range(4):
        own = Augmentation(op=op, values_PK=augmentation.values_PK[i : i + 1])
        assert torch.allclose(together[i : i + 1], apply(own, x_NCHW[i : i + 1]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("op", AUGMENT_OPS)
def test_images_get_parameters_of_their_own(op: str) -> None:
    values_PK = draw(op, generator(0, 0, "test"), (32, 32), count=64).values_PK
    assert len(values_PK) == 64 and len({tuple(row) for row in values_PK.tolist()}) > 8


def test_parameters_of_another_batch_are_refused() -> None:
    augmentation = draw("flip", generator(0, 0, "test"), (16, 16), count=4)
    with pytest.raises(ValueError, match="drawn for 4 images, applied to 5"):
        apply(augmentation, images(5, 1, (16, 16)))


def test_ops_are_drawn_uniformly_and_none_changes_nothing() -> None:
    chance = generator(0, 0, "test")
    drawn = [draw(AUGMENT_ALL, chance, (16, 16)).op for _ in range(3000)]
    for op in AUGMENT_OPS:
        assert 420 < drawn.count(op) < 580
    x_NCHW = images(2, 1, (16, 16))
    assert torch.equal(apply(draw("none", chance, (16, 16)), x_NCHW), x_NCHW)


@pytest.mark.parametrize(
    ("op", "ranges"),
    [
        ("color", [(-0.5, 0.5), (0, 2), (0.5, 1.5)]),
        ("crop", [(-4, 4), (-3, 3)]),
        ("cutout", [(0, 32), (0, 20)]),
        ("flip", [(0, 1)]),
        ("scale", [(1 / 1.2, 1.2), (1 / 1.2, 1.2)]),
        ("rotate", [(-torch.pi / 12, torch.pi / 12)]),
    ],
)
def test_parameters_fill_the_papers_ranges(op: str, ranges: list[tuple[float, float]]) -> None:
    values_PK = draw(op, generator(0, 0, "test"), (32, 21), count=4000).values_PK
    assert values_PK.shape[1] == len(ranges)
    for column_P, (low, high) in zip(values_PK.unbind(1), ranges, strict=True):
        margin = (high - low) * 0.01
        assert low <= float(column_P.min()) <= low + margin
        assert high - margin <= float(column_P.max()) <= high
        assert float(column_P.mean()) == pytest.approx((low + high) / 2, abs=(high - low) * 0.03)


@given(seed=SEEDS, size=SIZES)
@settings(max_examples=20, deadline=None)
def test_flip_twice_is_nothing_and_once_mirrors_columns(seed: int, size: tuple[int, int]) -> None:
    x_NCHW = images(2, 3, size, seed)
    flipped = apply(by_hand("flip", 0.49), x_NCHW)
    assert torch.equal(flipped[..., 0], x_NCHW[..., -1])
    assert torch.equal(apply(by_hand("flip", 0.49), flipped), x_NCHW)
    assert torch.equal(apply(by_hand("flip", 0.5), x_NCHW), x_NCHW)


@given(down=st.integers(-3, 3), right=st.integers(-3, 3), size=SIZES)
@settings(max_examples=30, deadline=None)
def test_crop_shifts_and_fills_with_zero(down: int, right: int, size: tuple[int, int]) -> None:
    x_NCHW = images(2, 3, size)
    shifted = apply(by_hand("crop", down, right), x_NCHW)
    height, width = size
    for row in range(height):
        for column in range(0, width, 5):
            y, x = row - down, column - right
            expected = x_NCHW[:, :, y, x] if 0 <= y < height and 0 <= x < width else torch.zeros(2, 3)
            assert torch.equal(shifted[:, :, row, column], expected.double())


@given(row=st.integers(0, 16), column=st.integers(0, 17))
@settings(max_examples=40, deadline=None)
def test_cutout_zeroes_one_rectangle(row: int, column: int) -> None:
    size = (16, 18)
    cut = apply(by_hand("cutout", row, column), torch.ones(1, 2, *size, dtype=torch.float64))
    rows = set(range(row - 4, row + 4)) & set(range(16))
    columns = set(range(column - 4, column + 5)) & set(range(18))
    expected = torch.ones(size, dtype=torch.float64)
    for y in rows:
        for x in columns:
            expected[y, x] = 0
    assert torch.equal(cut, expected.expand_as(cut))


@given(brightness=st.floats(-0.5, 0.5), saturation=st.floats(0, 2), contrast=st.floats(0.5, 1.5), seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_color_is_brightness_then_saturation_then_contrast(
    brightness: float, saturation: float, contrast: float, seed: int
) -> None:
    x_NCHW = images(2, 3, (16, 16), seed)
    coloured = apply(by_hand("color", brightness, saturation, contrast), x_NCHW)
    for x_CHW, y_CHW in zip(x_NCHW, coloured, strict=True):
        step = x_CHW + brightness
        grey = (step[0] + step[1] + step[2]) / 3
        step = torch.stack([(channel - grey) * saturation + grey for channel in step])
        step = (step - step.mean()) * contrast + step.mean()
        assert torch.allclose(y_CHW, step, rtol=0, atol=1e-12)


@given(seed=SEEDS, size=SIZES, per_image=st.booleans())
@settings(max_examples=30, deadline=None)
def test_resampling_equals_grid_sample_forward_and_backward(
    seed: int, size: tuple[int, int], per_image: bool
) -> None:
    x_NCHW = images(3, 2, size, seed).requires_grad_()
    chance = generator(seed, 1, "test")
    matrix_P22 = torch.eye(2, dtype=torch.float64) + 0.6 * torch.randn(
        3 if per_image else 1, 2, 2, dtype=torch.float64, generator=chance
    )
    theta_N23 = torch.cat([matrix_P22, torch.zeros(len(matrix_P22), 2, 1)], dim=2).expand(3, 2, 3)
    grid = affine_grid(theta_N23, list(x_NCHW.shape), align_corners=True)
    theirs = grid_sample(x_NCHW, grid, align_corners=True)
    ours = affine_resample(x_NCHW, matrix_P22)
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-10)
    weights = torch.randn(ours.shape, dtype=torch.float64, generator=chance)
    (our_gradient,) = torch.autograd.grad((ours * weights).sum(), x_NCHW)
    (their_gradient,) = torch.autograd.grad((theirs * weights).sum(), x_NCHW)
    assert torch.allclose(our_gradient, their_gradient, rtol=0, atol=1e-10)


@pytest.mark.parametrize("op", ["scale", "rotate"])
def test_scale_and_rotate_are_the_papers_maps(op: str) -> None:
    x_NCHW = images(2, 3, (20, 20))
    augmentation = draw(op, generator(5, 0, "test"), (20, 20))
    values = augmentation.values_PK[0]
    if op == "scale":
        theta = torch.tensor([[values[0], 0, 0], [0, values[1], 0]], dtype=torch.float64)
    else:
        cos, sin = values[0].cos(), values[0].sin()
        theta = torch.tensor([[cos, -sin, 0], [sin, cos, 0]], dtype=torch.float64)
    grid = affine_grid(theta.expand(2, 2, 3), [2, 3, 20, 20], align_corners=True)
    theirs = grid_sample(x_NCHW, grid, align_corners=True)
    assert torch.allclose(apply(augmentation, x_NCHW), theirs, rtol=0, atol=1e-10)


def test_rotation_does_not_shear_an_oblong_image() -> None:
    # Two dots at the same distance from the centre, one along each axis, stay at right angles.
    x_NCHW = torch.zeros(2, 1, 21, 41, dtype=torch.float64)
    x_NCHW[0, 0, 10, 28] = 1
    x_NCHW[1, 0, 18, 20] = 1
    turned = apply(by_hand("rotate", 0.2), x_NCHW)
    rows, columns = torch.arange(21.0).double() - 10, torch.arange(41.0).double() - 20
    mass = turned.sum(dim=(1, 2, 3))
    y = (turned.sum(dim=(1, 3)) * rows).sum(dim=1) / mass
    x = (turned.sum(dim=(1, 2)) * columns).sum(dim=1) / mass
    assert float(x[0] * x[1] + y[0] * y[1]) == pytest.approx(0, abs=0.5)
    assert float(x[0].hypot(y[0])) == pytest.approx(8, abs=0.3)
    assert float(x[1].hypot(y[1])) == pytest.approx(8, abs=0.3)


@pytest.mark.parametrize("op", AUGMENT_OPS)
def test_every_op_is_differentiable(op: str) -> None:
    augmentation = draw(op, generator(2, 0, "test"), (16, 17))
    x_NCHW = images(1, 2, (16, 17)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: apply(augmentation, x)[:, :, ::5, ::5], x_NCHW)


def test_a_chain_is_its_operations_one_after_the_other_the_same_for_both_sides() -> None:
    ops = ("color", "crop", "cutout", "flip")
    chain = draw_chain(ops, generator(3, 0, "chain"), (16, 20))
    assert [step.op for step in chain.steps] == list(ops)
    chance, expected_NCHW = generator(3, 0, "chain"), noise(5, 3, 16, 20)
    for op in ops:
        expected_NCHW = apply(draw(op, chance, (16, 20)), expected_NCHW)
    assert torch.equal(apply(chain, noise(5, 3, 16, 20)), expected_NCHW)
    # An image of it alone gets what it gets among others.
    assert torch.equal(apply(chain, noise(5, 3, 16, 20)[:1]), expected_NCHW[:1])
    nothing = draw_chain((), generator(3, 0, "chain"), (16, 20))
    assert torch.equal(apply(nothing, noise(2, 3, 16, 20)), noise(2, 3, 16, 20))


@pytest.mark.parametrize(
    ("augment", "chain"),
    [
        ("color_crop_cutout_flip_scale_rotate", ("color", "crop", "cutout", "flip")),
        ("flip_color", ("color", "flip")), ("rotate", ()), ("none", ()),
    ],
)  # fmt: skip
def test_a_composed_augmentation_takes_what_the_strategy_has_in_its_own_order(
    augment: str, chain: tuple[str, ...]
) -> None:
    assert CondenseConfig(ipc=1, augment=augment, composed=True).chain == chain
