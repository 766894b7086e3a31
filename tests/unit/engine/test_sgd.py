"""Our gradient descent is torch's, to the bit."""

import pytest
import torch

from core.engine.sgd import SGD


@pytest.mark.parametrize("weight_decay", [0.0, 5e-4])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_to_the_bit_over_steps_and_rates(momentum: float, weight_decay: float) -> None:
    chance = torch.Generator().manual_seed(3)
    start = [torch.randn(shape, generator=chance) for shape in ((5, 3), (7,), ())]
    ours, theirs = ([one.clone().requires_grad_() for one in start] for _ in range(2))
    one = SGD(ours, lr=0.1, momentum=momentum, weight_decay=weight_decay)
    other = torch.optim.SGD(theirs, lr=0.1, momentum=momentum, weight_decay=weight_decay)
    for lr in (0.1, 0.1, 0.01, 0.003):
        one.lr = other.param_groups[0]["lr"] = lr
        gradients = [torch.randn(value.shape, generator=chance) for value in start]
        for parameters in (ours, theirs):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient.clone()
        one.step()
        other.step()
        for mine, reference in zip(ours, theirs, strict=True):
            assert torch.equal(mine, reference)
        for value, before in zip(ours, start, strict=True):
            assert not torch.equal(value, before)


def test_what_has_no_gradient_stays_as_with_torch() -> None:
    """As the bias of a convolution before an instance norm, in the compiled blocks."""
    values = {}
    for make in (SGD, torch.optim.SGD):
        parameters = [torch.ones(2, requires_grad=True) for _ in range(3)]
        optimiser = make(parameters, lr=0.1, momentum=0.9, weight_decay=5e-4)
        for _ in range(3):
            for parameter in (parameters[0], parameters[2]):
                parameter.grad = torch.full((2,), 0.5)
            optimiser.step()
        values[make] = [parameter.tolist() for parameter in parameters]
    assert values[SGD] == values[torch.optim.SGD]
    assert values[SGD][1] == [1.0, 1.0] != values[SGD][2]


def test_a_gradient_is_forgotten() -> None:
    parameter = torch.ones(2, requires_grad=True)
    optimiser = SGD([parameter], lr=0.1, momentum=0.9, weight_decay=0.0)
    for _ in range(2):
        parameter.sum().backward()  # type: ignore[no-untyped-call]
    assert parameter.grad is not None and parameter.grad.tolist() == [2, 2]
    optimiser.zero_grad()
    assert parameter.grad is None
