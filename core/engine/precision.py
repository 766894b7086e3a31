"""In which arithmetic a network embeds images: decided by the device alone."""

import torch
from torch import Tensor

from core.engine.networks.network import Network


class MixedPrecision:
    """A frozen network whose convolutions and linear layers multiply in bfloat16.

    Under autocast on CUDA, norms take and give float32; features, and so the class means and the loss, are
    float32 everywhere.
    """

    def __init__(self, network: Network) -> None:
        self.network = network

    @property
    def couples_samples(self) -> bool:
        return self.network.couples_samples

    def embed(self, x_NCHW: Tensor) -> Tensor:
        """(N, features), float32."""
        with torch.autocast(x_NCHW.device.type, dtype=torch.bfloat16):
            return self.network.embed(x_NCHW).float()

    def stages(self, x_NCHW: Tensor) -> tuple[list[Tensor], Tensor]:
        """As the network's, float32."""
        with torch.autocast(x_NCHW.device.type, dtype=torch.bfloat16):
            maps, embedding_NF = self.network.stages(x_NCHW)
            return [one.float() for one in maps], embedding_NF.float()

    def classify(self, features_NF: Tensor) -> Tensor:
        """(N, num_classes), float32."""
        with torch.autocast(features_NF.device.type, dtype=torch.bfloat16):
            return self.network.classify(features_NF).float()


def multiplies_in(device: torch.device | str) -> torch.dtype:
    """The type in which a condensation's networks multiply on the device."""
    return torch.bfloat16 if torch.device(device).type == "cuda" else torch.float32


def on_device(network: Network, device: torch.device | str) -> Network | MixedPrecision:
    """The network as condensation uses it on the device."""
    return network if multiplies_in(device) == torch.float32 else MixedPrecision(network)
