"""How a process is made to come to the same bytes again."""

import pytest
import torch

from core.kinds.device import make_deterministic
from tests.support.condensed import torch_as_it_was


def test_float32_is_float32_on_a_gpu_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    with torch_as_it_was():
        make_deterministic()
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cudnn.benchmark
