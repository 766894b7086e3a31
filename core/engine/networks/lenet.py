"""LeNet-5 with ReLU and max pooling (after LeCun et al. 1998)."""

from torch import Tensor, nn

from core.engine.config import NetworkConfig
from core.engine.networks.padding import first_padding
from core.engine.networks.pooling import PoolToAtMost
from core.engine.networks.stages import stages


class LeNet(nn.Module):
    """Two blocks of convolution 5x5 without padding, ReLU, max pooling 2x2; then layers of 120 and 84.

    Images below 32 px are padded to it; the maps of larger ones are averaged down to 5x5.

    Args:
        config: see NetworkConfig.
        channels: of the images.
        size: height and width of the images in pixels.
        num_classes: outputs of the last layer.
    """

    def __init__(self, config: NetworkConfig, channels: int, size: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            nn.Conv2d(channels, 6, kernel_size=5, padding=first_padding(0, size)),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, kernel_size=5),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            PoolToAtMost(5),
        )
        self.features = 16 * 5 * 5
        self.classifier = nn.Sequential(
            nn.Linear(self.features, 120),
            nn.ReLU(inplace=True),
            nn.Linear(120, 84),
            nn.ReLU(inplace=True),
            nn.Linear(84, num_classes),
        )
        self.couples_samples = False

    def embed(self, x_NCHW: Tensor) -> Tensor:
        """The flattened last convolutional block, (N, features)."""
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
