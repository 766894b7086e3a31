"""A network that a pass of many images is too large for."""

import pytest
import torch
from torch import Tensor

from core.engine import networks
from core.engine.networks.convnet import ConvNet


class Limited(ConvNet):
    """Out of memory in each pass of more than `limit` images, once `after` passes were made."""

    limit = after = passes = 0

    def embed(self, x_NCHW: Tensor) -> Tensor:
        # On the meta device nothing is computed.
        if x_NCHW.device.type != "meta":
            Limited.passes += 1
            if len(x_NCHW) > self.limit and Limited.passes > self.after:
                raise torch.OutOfMemoryError(f"{len(x_NCHW)} images")
        return super().embed(x_NCHW)


def limit_convnet(monkeypatch: pytest.MonkeyPatch, images: int, *, after: int = 0) -> None:
    monkeypatch.setitem(networks.REGISTRY, "convnet", Limited)
    for name, value in (("limit", images), ("after", after), ("passes", 0)):
        monkeypatch.setattr(Limited, name, value)
