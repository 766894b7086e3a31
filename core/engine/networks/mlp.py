"""MLP: two hidden layers, no convolution."""

from torch import Tensor, nn

from core.engine.config import NetworkConfig
from core.engine.networks.stages import stages

WIDTH = 128


class MLP(nn.Module):
    """The flattened image, twice a linear layer of 128 and ReLU; then one linear layer.

    Args:
        config: see NetworkConfig.
        channels: of the images.
        size: height and width of the images in pixels.
        num_classes: outputs of the last layer.
    """

    def __init__(self, config: NetworkConfig, channels: int, size: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * size[0] * size[1], WIDTH),
            nn.ReLU(inplace=True),
            nn.Linear(WIDTH, WIDTH),
            nn.ReLU(inplace=True),
        )
        self.features = WIDTH
        self.classifier = nn.Linear(WIDTH, num_classes)
        self.couples_samples = False

    def embed(self, x_NCHW: Tensor) -> Tensor:
        """The last hidden layer, (N, features)."""
        y_NF: Tensor = self.blocks(x_NCHW)
        return y_NF

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
