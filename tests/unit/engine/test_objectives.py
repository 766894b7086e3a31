"""Every objective against its plain formula, and any other by the same matching."""

import pytest
import torch
from torch import Tensor

from core.engine.augment import apply, draw
from core.engine.config import NetworkConfig
from core.engine.matching import matching_loss_and_gradient
from core.engine.networks.build import build
from core.engine.objectives import OBJECTIVES
from core.engine.objectives.characteristic import Characteristic
from core.engine.objectives.covariance import Covariance
from core.engine.objectives.mean import Mean
from core.engine.objectives.objective import Objective, load_objective
from core.engine.seeds import generator

from .toys import Moments

CLASSES, IPC = 3, 10


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_says_whence_it_is(name: str) -> None:
    aim = load_objective(name)
    assert aim.title and aim.link.startswith(("https://arxiv.org/abs/", "https://openreview.net/forum?id="))


def test_the_mean_is_the_sum_over_classes_and_features_of_squared_differences() -> None:
    real_CF = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    synthetic_CF = torch.tensor([[1.0, 4.0], [3.0, -1.0]], requires_grad=True)
    assert torch.equal(Mean().sums(real_CF[:, None].expand(2, 3, 2)), 3 * real_CF)
    distance = Mean().distance(real_CF, synthetic_CF)
    assert float(distance.detach()) == 4 + 9 + 1
    (gradient_CF,) = torch.autograd.grad(distance, synthetic_CF)
    assert gradient_CF.tolist() == [[0.0, 4.0], [6.0, -2.0]]


def test_a_single_image_a_class_has_no_covariance() -> None:
    one_CF = torch.tensor([[[1.0, 2.0]]], requires_grad=True)
    other = Covariance().sums(torch.tensor([[[1.0, 2.0], [1.0, 2.0]]])) / 2
    distance = Covariance().distance(other, Covariance().sums(one_CF))
    (gradient,) = torch.autograd.grad(distance, one_CF)
    assert float(distance.detach()) == 0 and gradient.isfinite().all()
    spread = Covariance().sums(torch.tensor([[[1.0], [-1.0]]])) / 2
    assert float(Covariance().distance(spread, torch.zeros(1, 2))) == 50


def test_sides_that_are_the_same_have_a_characteristic_distance_of_nothing_and_a_finite_slope() -> None:
    features_CNF = torch.randn(2, 5, 7, generator=generator(0, 0, "f")).requires_grad_()
    same_CS = Characteristic().sums(features_CNF) / 5
    distance = Characteristic().distance(same_CS.detach(), same_CS)
    (gradient,) = torch.autograd.grad(distance, features_CNF)
    assert float(distance.detach()) < 0.3 and gradient.isfinite().all()


def plain(aim: str, network: torch.nn.Module, real: list[Tensor], synthetic: list[Tensor]) -> Tensor:
    """The whole at once, written out for each objective."""
    loss = torch.zeros((), dtype=torch.float64)
    for real_NCHW, synthetic_NCHW in zip(real, synthetic, strict=True):
        if aim == "attention":
            loss = loss + plain_attention(network, real_NCHW, synthetic_NCHW)
            continue
        features = [network.blocks(x).flatten(1) for x in (real_NCHW, synthetic_NCHW)]  # type: ignore[operator]
        loss = loss + PLAIN[aim](*features)
    return loss


def plain_mean(real_NF: Tensor, synthetic_NF: Tensor) -> Tensor:
    distance: Tensor = ((real_NF.mean(0) - synthetic_NF.mean(0)) ** 2).sum()
    return distance


def plain_moments(real_NF: Tensor, synthetic_NF: Tensor) -> Tensor:
    squares: Tensor = (((real_NF**2).mean(0) - (synthetic_NF**2).mean(0)) ** 2).sum()
    return (plain_mean(real_NF, synthetic_NF) + squares) ** 0.5


def plain_covariance(real_NF: Tensor, synthetic_NF: Tensor) -> Tensor:
    covariances = [torch.cov(side.T, correction=0) for side in (real_NF, synthetic_NF)]
    apart: Tensor = ((covariances[0] - covariances[1]) ** 2).sum()
    return plain_mean(real_NF, synthetic_NF) + 50 / real_NF.shape[1] * apart


def plain_characteristic(real_NF: Tensor, synthetic_NF: Tensor) -> Tensor:
    chance = generator(0, 0, "frequencies")
    t_FT = torch.randn(real_NF.shape[1], 4096, generator=chance).double()
    functions = []
    for side_NF in (real_NF, synthetic_NF):
        angles = (side_NF / side_NF.norm(dim=1, keepdim=True)) @ t_FT
        functions.append(torch.polar(torch.ones_like(angles), angles).mean(dim=0))
    one, other = functions
    amplitude = (one.abs() - other.abs()) ** 2
    phase = 2 * one.abs() * other.abs() * (1 - torch.cos(one.angle() - other.angle()))
    mean: Tensor = ((amplitude + phase) / 2).sqrt().mean()
    return 300 * mean


def plain_attention(network: torch.nn.Module, real_NCHW: Tensor, synthetic_NCHW: Tensor) -> Tensor:
    """At the first halving of the two that a network of depth 2 has."""
    if isinstance(network, Whole):
        halved = [network.halved[id(x)] for x in (real_NCHW, synthetic_NCHW)]
    else:
        halved = [network.blocks[:4](x) for x in (real_NCHW, synthetic_NCHW)]  # type: ignore[index, operator]
    attention = [one.abs().sum(dim=1).flatten(1) for one in halved]
    means = [(one / one.norm(dim=1, keepdim=True)).mean(dim=0) for one in attention]
    features = [network.blocks(x).flatten(1) for x in (real_NCHW, synthetic_NCHW)]  # type: ignore[operator]
    apart: Tensor = ((means[0] - means[1]) ** 2).sum()
    return plain_mean(*features) + 100 * apart


PLAIN = {
    "mean": plain_mean, "moments": plain_moments, "covariance": plain_covariance,
    "characteristic": plain_characteristic,
}  # fmt: skip


#: All at once; real images in passes that end within a class, and two classes of synthetic ones before the
#: third; every class in parts; single images.
@pytest.mark.parametrize("micro_batch", [1_000, 23, 7, 1])
@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize(
    ("name", "aim"), [("moments", Moments()), *((name, load_objective(name)) for name in OBJECTIVES)]
)
def test_loss_and_gradient_are_autograds_through_the_plain_formula(
    name: str, aim: Objective, norm: str, micro_batch: int
) -> None:
    network = build(NetworkConfig(width=4, depth=2, norm=norm), 1, (16, 16), CLASSES, generator(0, 0, "n"))
    assert isinstance(network, torch.nn.Module)
    network.double().requires_grad_(False)
    chance = generator(1, 0, "images")
    shape = (1, 16, 16)
    real = [torch.randn(12, *shape, dtype=torch.float64, generator=chance) + c for c in range(CLASSES)]
    synthetic_NCHW = torch.randn(CLASSES * IPC, *shape, dtype=torch.float64, generator=chance)
    augmentations = [draw("color_crop_flip", chance, (16, 16)) for _ in range(CLASSES)]
    leaf_NCHW = synthetic_NCHW.clone().requires_grad_()
    sides = (real, list(torch.split(leaf_NCHW, IPC)))
    augmented = [[apply(a, x) for a, x in zip(augmentations, side, strict=True)] for side in sides]
    if norm == "batch":
        expected = of_whole_batches(name, network, *augmented)
    else:
        expected = plain(name, network, *augmented)
    (expected_NCHW,) = torch.autograd.grad(expected, leaf_NCHW)

    loss, gradient_NCHW = matching_loss_and_gradient(
        aim, network, iter(real), synthetic_NCHW, augmentations, micro_batch
    )
    assert not loss.requires_grad and not gradient_NCHW.requires_grad
    assert float(loss) == pytest.approx(float(expected.detach()), rel=1e-12)
    assert torch.allclose(gradient_NCHW, expected_NCHW, rtol=1e-9, atol=1e-12)
    assert expected_NCHW.flatten(1).abs().amax(dim=1).min() > 0, "every image feels a pull"


class Whole(torch.nn.Module):
    """A network that was given all classes at once, then asked class by class."""

    def __init__(self, network: torch.nn.Module, classes: list[Tensor]) -> None:
        super().__init__()
        together = network.blocks(torch.cat(classes))  # type: ignore[operator]
        sizes = [*map(len, classes)]
        self.by_class = {id(x): f for x, f in zip(classes, torch.split(together, sizes), strict=True)}
        halved = torch.split(network.blocks[:4](torch.cat(classes)), sizes)  # type: ignore[index, operator]
        self.halved = {id(x): f for x, f in zip(classes, halved, strict=True)}

    def blocks(self, x_NCHW: Tensor) -> Tensor:
        return self.by_class[id(x_NCHW)]


def of_whole_batches(
    name: str, network: torch.nn.Module, real: list[Tensor], synthetic: list[Tensor]
) -> Tensor:
    """Batch statistics span the classes of a side, and not both sides."""
    whole = Whole(network, real)
    other = Whole(network, synthetic)
    whole.by_class |= other.by_class
    whole.halved |= other.halved
    return plain(name, whole, real, synthetic)
