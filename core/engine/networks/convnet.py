"""ConvNet: the paper's own network (Zhao & Bilen 2021, after Gidaris & Komodakis 2018)."""

from torch import Tensor, nn

from core.engine.config import NetworkConfig
from core.engine.cpu import blocks as compiled
from core.engine.networks.depth import default_depth
from core.engine.networks.norms import norm_layers
from core.engine.networks.pooling import AvgPool2x2
from core.engine.networks.stages import stages


class ConvNet(nn.Module):
    """`depth` blocks of convolution 3x3, norm, activation, pooling 2x2; then one linear layer.

    The official code pads one-channel images by 3 px in the first convolution, so that MNIST's 28 px become
    32; here they stay 28: 3x3 last maps in place of 4x4, 1,152 features of width 128 in place of 2,048.

    Args:
        config: see NetworkConfig.
        channels: of the images.
        size: height and width of the images in pixels.
        num_classes: outputs of the linear layer.

    Raises:
        ValueError: more halvings than the image has.
    """

    def __init__(self, config: NetworkConfig, channels: int, size: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        height, width = size
        depth = default_depth(height, width) if config.depth is None else config.depth
        if config.pooling != "none" and min(size) >> depth == 0:
            raise ValueError(f"depth: {depth} poolings leave nothing of {height}x{width} px")
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers.append(nn.Conv2d(channels, config.width, kernel_size=3, padding=1))
            layers.extend(_norm(config.norm, config.width, height, width))
            layers.append(_activation(config.activation))
            if config.pooling != "none":
                layers.append(AvgPool2x2() if config.pooling == "avg" else nn.MaxPool2d(2))
                height, width = height // 2, width // 2
            channels = config.width
        self.blocks = nn.Sequential(*layers)
        self.features = config.width * height * width
        self.classifier = nn.Linear(self.features, num_classes)
        self.couples_samples = config.norm == "batch"
        self.width = config.width
        self._usual = (config.norm, config.activation, config.pooling) == ("instance", "relu", "avg")

    def embed(self, x_NCHW: Tensor) -> Tensor:
        """The flattened last block, (N, features)."""
        # Not of an ensemble (ensemble.py), whose convolutions have groups.
        if self._usual and compiled.usable(self.width, x_NCHW) and not _grouped(self.blocks):
            return compiled.embed(self.blocks, x_NCHW)
        y_NCHW: Tensor = self.blocks(x_NCHW)
        return y_NCHW.flatten(1)

    def stages(self, x_NCHW: Tensor) -> tuple[list[Tensor], Tensor]:
        """Maps on the way, and what `embed` gives."""
        if self._usual and compiled.usable(self.width, x_NCHW) and not _grouped(self.blocks):
            *maps, last_NCHW = compiled.maps(self.blocks, x_NCHW)
            return maps, last_NCHW.flatten(1)
        return stages(self.blocks, x_NCHW)

    def classify(self, features_NF: Tensor) -> Tensor:
        """Logits of what `embed` gave, (N, num_classes)."""
        logits: Tensor = self.classifier(features_NF)
        return logits

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Logits, (N, num_classes)."""
        return self.classify(self.embed(x_NCHW))


def _grouped(blocks: nn.Sequential) -> bool:
    return any(isinstance(layer, nn.Conv2d) and layer.groups > 1 for layer in blocks)


def _norm(name: str, width: int, map_height: int, map_width: int) -> list[nn.Module]:
    if name == "layer":
        return [nn.LayerNorm([width, map_height, map_width])]
    return norm_layers(name, width)


def _activation(name: str) -> nn.Module:
    match name:
        case "sigmoid":
            return nn.Sigmoid()
        case "relu":
            return nn.ReLU(inplace=True)
        case "leakyrelu":
            return nn.LeakyReLU(0.01, inplace=True)
        case "swish":
            return nn.SiLU()
    raise ValueError(f"activation: {name!r} is unknown")
