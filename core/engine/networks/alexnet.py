"""AlexNet for small images (after Krizhevsky et al. 2012), as the paper evaluates on."""

from torch import Tensor, nn

from core.engine.config import NetworkConfig
from core.engine.networks.norms import norm_layers
from core.engine.networks.padding import first_padding
from core.engine.networks.pooling import PoolToAtMost
from core.engine.networks.stages import stages


class AlexNet(nn.Module):
    """Five blocks of convolution, norm, ReLU, the first two and the last max-pooled 2x2; one linear layer.

    Images below 32 px are padded to it; the last maps of larger ones are averaged down to 4x4.

    Args:
        config: see NetworkConfig.
        channels: of the images.
        size: height and width of the images in pixels.
        num_classes: outputs of the linear layer.
    """

    def __init__(self, config: NetworkConfig, channels: int, size: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            nn.Conv2d(channels, 128, kernel_size=5, padding=first_padding(2, size)),
            *norm_layers(config.norm, 128),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(128, 192, kernel_size=5, padding=2),
            *norm_layers(config.norm, 192),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(192, 256, kernel_size=3, padding=1),
            *norm_layers(config.norm, 256),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 192, kernel_size=3, padding=1),
            *norm_layers(config.norm, 192),
            nn.ReLU(inplace=True),
            nn.Conv2d(192, 192, kernel_size=3, padding=1),
            *norm_layers(config.norm, 192),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            PoolToAtMost(4),
        )
        self.features = 192 * 4 * 4
        self.classifier = nn.Linear(self.features, num_classes)
        self.couples_samples = config.norm == "batch"

    def embed(self, x_NCHW: Tensor) -> Tensor:
        """The flattened last block, (N, features)."""
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
