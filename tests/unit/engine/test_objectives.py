"""Every objective against its plain formula, and any other by the same matching."""

import pytest
import torch
from torch import Tensor

from core.engine.augment import apply, draw
from core.engine.config import NetworkConfig
from core.engine.matching import matching_loss_and_gradient
from core.engine.networks.build import build
from core.engine.objectives import OBJECTIVES
from core.engine.objectives.mean import Mean
from core.engine.objectives.objective import Objective, load_objective
from core.engine.seeds import generator

from .toys import Moments

CLASSES, IPC = 3, 10


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_says_whence_it_is(name: str) -> None:
    aim = load_objective(name)
    assert aim.title and aim.link.startswith("https://arxiv.org/abs/")


def test_the_mean_is_the_sum_over_classes_and_features_of_squared_differences() -> None:
    real_CF = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    synthetic_CF = torch.tensor([[1.0, 4.0], [3.0, -1.0]], requires_grad=True)
    assert torch.equal(Mean().statistic(real_CF), real_CF)
    distance = Mean().distance(real_CF, synthetic_CF)
    assert float(distance.detach()) == 4 + 9 + 1
    (gradient_CF,) = torch.autograd.grad(distance, synthetic_CF)
    assert gradient_CF.tolist() == [[0.0, 4.0], [6.0, -2.0]]


def plain(aim: str, network: torch.nn.Module, real: list[Tensor], synthetic: list[Tensor]) -> Tensor:
    """The whole at once, written out for each objective."""
    loss = torch.zeros((), dtype=torch.float64)
    for real_NCHW, synthetic_NCHW in zip(real, synthetic, strict=True):
        features = [network.blocks(x).flatten(1) for x in (real_NCHW, synthetic_NCHW)]  # type: ignore[operator]
        first = features[0].mean(0) - features[1].mean(0)
        second = (features[0] ** 2).mean(0) - (features[1] ** 2).mean(0)
        loss = loss + ((first**2).sum() if aim == "mean" else ((first**2).sum() + (second**2).sum()) ** 0.5)
    return loss


#: All at once; real images in passes that end within a class, and two classes of synthetic ones before the
#: third; every class in parts; single images.
@pytest.mark.parametrize("micro_batch", [1_000, 23, 7, 1])
@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize(("name", "aim"), [("mean", Mean()), ("moments", Moments())])
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
        self.by_class = {
            id(x): f for x, f in zip(classes, torch.split(together, [*map(len, classes)]), strict=True)
        }

    def blocks(self, x_NCHW: Tensor) -> Tensor:
        return self.by_class[id(x_NCHW)]


def of_whole_batches(
    name: str, network: torch.nn.Module, real: list[Tensor], synthetic: list[Tensor]
) -> Tensor:
    """Batch statistics span the classes of a side, and not both sides."""
    whole = Whole(network, real)
    whole.by_class |= Whole(network, synthetic).by_class
    return plain(name, whole, real, synthetic)
