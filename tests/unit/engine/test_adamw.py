"""Our AdamW, against torch's."""

import torch

from core.engine.adamw import AdamW


def test_it_steps_as_torchs_does() -> None:
    chance = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, generator=chance) for shape in ((5, 3), (7,), (2, 2))]
    ours, theirs = ([one.clone().requires_grad_() for one in start] for _ in range(2))
    own, other = AdamW(ours, lr=0.01, weight_decay=0.1), torch.optim.AdamW(theirs, lr=0.01, weight_decay=0.1)
    for n in range(20):
        lr = 0.01 / (n + 1)
        own.lr = other.param_groups[0]["lr"] = lr
        own.zero_grad()
        other.zero_grad()
        # The last one never gets a gradient, and stays.
        for parameters in (ours, theirs):
            (parameters[0].square().sum() + (parameters[1] * n).sin().sum()).backward()  # type: ignore[no-untyped-call]
        own.step()
        other.step()
        for a, b in zip(ours, theirs, strict=True):
            assert torch.allclose(a, b, rtol=1e-6, atol=1e-7)
    assert torch.equal(ours[2], start[2])
    assert not torch.allclose(ours[0], start[0], atol=1e-3)
