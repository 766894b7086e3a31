"""What an image takes on its way through each network, by arithmetic alone: torch-free.

The layers are those of the network's own file, in its order; the tests count them by torch.
"""

from core.engine.networks.depth import default_depth
from core.engine.networks.entry import Architecture, Forward
from core.engine.networks.padding import first_padding

Size = tuple[int, int]
"""Height and width in pixels."""


class _Maps:
    """The maps of an image on their way through the layers of an embedding."""

    def __init__(self, channels: int, size: Size) -> None:
        self.channels = channels
        self.height, self.width = size
        self.flops = self.values = 0

    def convolution(self, out: int, kernel: int = 3, padding: Size = (1, 1), stride: int = 1) -> None:
        self.height = (self.height + 2 * padding[0] - kernel) // stride + 1
        self.width = (self.width + 2 * padding[1] - kernel) // stride + 1
        self._count(out * self.height * self.width, kernel**2 * self.channels)
        self.channels = out

    def linear(self, out: int) -> None:
        self._count(out, self.features)
        self.channels, self.height, self.width = out, 1, 1

    def halve(self) -> None:
        self.height, self.width = self.height // 2, self.width // 2

    def pool_to_at_most(self, side: int) -> None:
        self.height, self.width = min(self.height, side), min(self.width, side)

    @property
    def features(self) -> int:
        return self.channels * self.height * self.width

    def embedded(self, *classifying: int) -> Forward:
        """The whole, with the outputs of each classifying layer."""
        inputs = (self.features, *classifying)
        classify = sum(2 * a * b for a, b in zip(inputs, classifying, strict=False))
        return Forward(embed=self.flops, classify=classify, map_values=self.values)

    def _count(self, values: int, inputs: int) -> None:
        self.flops += 2 * values * inputs
        self.values += values


def convnet(network: Architecture, size: Size, channels: int, classes: int) -> Forward:
    maps = _Maps(channels, size)
    for _ in range(network.depth or default_depth(*size)):
        maps.convolution(network.width)
        if network.pooling != "none":
            maps.halve()
    return maps.embedded(classes)


def mlp(network: Architecture, size: Size, channels: int, classes: int) -> Forward:
    maps = _Maps(channels, size)
    maps.linear(128)
    maps.linear(128)
    return maps.embedded(classes)


def lenet(network: Architecture, size: Size, channels: int, classes: int) -> Forward:
    maps = _Maps(channels, size)
    maps.convolution(6, 5, first_padding(0, size))
    maps.halve()
    maps.convolution(16, 5, (0, 0))
    maps.halve()
    maps.pool_to_at_most(5)
    return maps.embedded(120, 84, classes)


def alexnet(network: Architecture, size: Size, channels: int, classes: int) -> Forward:
    maps = _Maps(channels, size)
    maps.convolution(128, 5, first_padding(2, size))
    maps.halve()
    maps.convolution(192, 5, (2, 2))
    maps.halve()
    for width in (256, 192, 192):
        maps.convolution(width)
    maps.halve()
    maps.pool_to_at_most(4)
    return maps.embedded(classes)


def vgg11(network: Architecture, size: Size, channels: int, classes: int) -> Forward:
    maps = _Maps(channels, size)
    padding = first_padding(1, size)
    for stage in ((64,), (128,), (256, 256), (512, 512), (512, 512)):
        for width in stage:
            maps.convolution(width, 3, padding)
            padding = (1, 1)
        maps.halve()
    maps.pool_to_at_most(1)
    return maps.embedded(classes)


def resnet18(network: Architecture, size: Size, channels: int, classes: int) -> Forward:
    """Of "resnet18ap", too, which convolves at full size and then pools."""
    average = network.name == "resnet18ap"
    maps = _Maps(channels, size)
    maps.convolution(64)
    for stage, width in enumerate((64, 128, 256, 512)):
        halves = stage > 0
        stride = 2 if halves and not average else 1
        if halves:
            shortcut = _Maps(maps.channels, (maps.height, maps.width))
            shortcut.convolution(width, 1, (0, 0), stride)
            maps.flops += shortcut.flops
            maps.values += shortcut.values
        maps.convolution(width, stride=stride)
        if halves and average:
            maps.halve()
        for _ in range(3):
            maps.convolution(width)
    maps.pool_to_at_most(4 if average else 1)
    return maps.embedded(classes)
