"""ResNet18 for small images (after He et al. 2016): first convolution 3x3, no pooling after it."""

from torch import Tensor, nn
from torch.nn.functional import relu

from core.engine.config import NetworkConfig
from core.engine.networks.norms import norm_layers
from core.engine.networks.pooling import AvgPool2x2, PoolToAtMost
from core.engine.networks.stages import stages

STAGES = (64, 128, 256, 512)
"""Channels; each stage has two residual blocks, and all but the first halve the image."""


class ResNet18(nn.Module):
    """One convolution 3x3, norm, ReLU; eight residual blocks; one linear layer.

    "resnet18" halves by convolutions of stride 2 and averages the last maps to one pixel. "resnet18ap"
    (ResNet18_AP in the official code) halves by convolutions of stride 1 and average pooling 2x2, and keeps
    the last maps, averaged down to 4x4 if they are larger.

    Args:
        config: see NetworkConfig.
        channels: of the images.
        size: height and width of the images in pixels.
        num_classes: outputs of the linear layer.
    """

    def __init__(self, config: NetworkConfig, channels: int, size: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        average = config.name == "resnet18ap"
        layers: list[nn.Module] = [
            nn.Conv2d(channels, STAGES[0], kernel_size=3, padding=1, bias=False),
            *norm_layers(config.norm, STAGES[0]),
            nn.ReLU(inplace=True),
        ]
        channels = STAGES[0]
        for stage, width in enumerate(STAGES):
            layers.append(
                _Residual(channels, width, norm=config.norm, halves=stage > 0, average=average),
            )
            layers.append(_Residual(width, width, norm=config.norm, halves=False, average=average))
            channels = width
        side = 4 if average else 1
        self.blocks = nn.Sequential(*layers, PoolToAtMost(side))
        self.features = channels * min(side, size[0] // 8) * min(side, size[1] // 8)
        self.classifier = nn.Linear(self.features, num_classes)
        self.couples_samples = config.norm == "batch"

    def embed(self, x_NCHW: Tensor) -> Tensor:
        """The pooled and flattened last block, (N, features)."""
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


class _Residual(nn.Module):
    """ReLU of (conv, norm, ReLU, conv, norm) plus the shortcut; halving, if any, by the first convolution."""

    def __init__(self, channels: int, width: int, *, norm: str, halves: bool, average: bool) -> None:
        super().__init__()
        stride = 2 if halves and not average else 1
        pool = [AvgPool2x2()] if halves and average else []
        self.residual = nn.Sequential(
            nn.Conv2d(channels, width, kernel_size=3, stride=stride, padding=1, bias=False),
            *norm_layers(norm, width),
            nn.ReLU(inplace=True),
            *pool,
            nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False),
            *norm_layers(norm, width),
        )
        self.shortcut = nn.Sequential()
        if halves:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, width, kernel_size=1, stride=stride, bias=False),
                *pool,
                *norm_layers(norm, width),
            )

    def forward(self, x_NCHW: Tensor) -> Tensor:
        sum_NCHW: Tensor = self.residual(x_NCHW) + self.shortcut(x_NCHW)
        return relu(sum_NCHW, inplace=True)
