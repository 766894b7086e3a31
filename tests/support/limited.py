"""A network that a pass of many images is too large for."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from core.engine.networks import NETWORKS
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
    limited = replace(NETWORKS["convnet"], path=f"{__name__}:Limited")
    monkeypatch.setitem(NETWORKS, "convnet", limited)
    for name, value in (("limit", images), ("after", after), ("passes", 0)):
        monkeypatch.setattr(Limited, name, value)
