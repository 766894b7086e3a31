"""VGG11 for small images (after Simonyan & Zisserman 2015): one linear layer in place of three."""

from torch import Tensor, nn

from core.engine.config import NetworkConfig
from core.engine.networks.norms import norm_layers
from core.engine.networks.padding import first_padding
from core.engine.networks.pooling import PoolToAtMost
from core.engine.networks.stages import stages

STAGES = ((64,), (128,), (256, 256), (512, 512), (512, 512))
"""Channels of the convolutions between two poolings."""


class VGG11(nn.Module):
    """Eight blocks of convolution 3x3, norm, ReLU in five max-pooled stages; one linear layer.

    Images below 32 px are padded to it; the last maps of larger ones are averaged.

    Args:
        config: see NetworkConfig.
        channels: of the images.
        size: height and width of the images in pixels.
        num_classes: outputs of the linear layer.
    """

    def __init__(self, config: NetworkConfig, channels: int, size: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        padding = first_padding(1, size)
        for stage in STAGES:
            for width in stage:
                layers.append(nn.Conv2d(channels, width, kernel_size=3, padding=padding))
                layers.extend(norm_layers(config.norm, width))
                layers.append(nn.ReLU(inplace=True))
                channels, padding = width, (1, 1)
            layers.append(nn.MaxPool2d(2))
        self.blocks = nn.Sequential(*layers, PoolToAtMost(1))
        self.features = channels
        self.classifier = nn.Linear(self.features, num_classes)
        self.couples_samples = config.norm == "batch"

    def embed(self, x_NCHW: Tensor) -> Tensor:
        """The pooled last block, (N, features)."""
        y_NCHW: Tensor = self.blocks(x_NCHW)
        return y_NCHW.flatten(1)

    def stages(self, x_NCHW: Tensor) -> tuple[list[Tensor], Tensor]:
        """Maps on the way, and what `embed` gives."""
        return stages(self.blocks, x_NCHW)

    def classify(self, features_NF: Tensor) -> Tensor:
        """Logits of what `embed` gave, (N, num_classes)."""
        logits: Tensor = self.classifier(features_NF)
        return logits

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Logits, (N, num_classes)."""
        return self.classify(self.embed(x_NCHW))
