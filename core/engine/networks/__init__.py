"""The networks by name: torch-free. To add one: its class in a file of its own, its count in flops.py, and
its line here. `build.py` makes them."""

from collections.abc import Collection, Mapping

from core.engine.networks import flops
from core.engine.networks.entry import Architecture, Forward, NetworkEntry

NORMS = ("none", "batch", "layer", "instance", "group")
_HERE = "core.engine.networks"
_TWO = ("batch", "instance")

NETWORKS: Mapping[str, NetworkEntry] = {
    "convnet": NetworkEntry(
        path=f"{_HERE}.convnet:ConvNet",
        norms=NORMS,
        fields=("width", "depth", "activation", "pooling"),
        forward=flops.convnet,
    ),
    "mlp": NetworkEntry(path=f"{_HERE}.mlp:MLP", norms=("none",), forward=flops.mlp),
    "lenet": NetworkEntry(path=f"{_HERE}.lenet:LeNet", norms=("none",), forward=flops.lenet),
    "alexnet": NetworkEntry(path=f"{_HERE}.alexnet:AlexNet", norms=("none", *_TWO), forward=flops.alexnet),
    "vgg11": NetworkEntry(path=f"{_HERE}.vgg11:VGG11", norms=_TWO, forward=flops.vgg11),
    "resnet18": NetworkEntry(path=f"{_HERE}.resnet18:ResNet18", norms=_TWO, forward=flops.resnet18),
    # Halves by average pooling, not by strides.
    "resnet18ap": NetworkEntry(path=f"{_HERE}.resnet18:ResNet18", norms=_TWO, forward=flops.resnet18),
}

NETWORK_NAMES = tuple(NETWORKS)
NETWORK_FIELDS = tuple(dict.fromkeys(field for entry in NETWORKS.values() for field in entry.fields))
"""Of NetworkConfig: those that some network lets be chosen; the others are fixed in them."""


def default_norm(network: str) -> str:
    """Instance norm, the paper's, in every network that can have it; else the first that it can have."""
    norms = NETWORKS[network].norms
    return "instance" if "instance" in norms else norms[0]


def refuse_fields(network: str, given: Collection[str]) -> None:
    """To be called with the fields of NetworkConfig that were chosen.

    Raises:
        ValueError: the network is fixed in one of them.
    """
    for field in NETWORK_FIELDS:
        if field in given and field not in NETWORKS[network].fields:
            others = ", ".join(name for name, entry in NETWORKS.items() if field in entry.fields)
            raise ValueError(f"{field}: cannot be chosen for {network}, only for {others}")


def forward_cost(network: Architecture, size: tuple[int, int], channels: int, num_classes: int) -> Forward:
    """What one image takes on its way forward.

    Args:
        size: height and width in pixels.
    """
    return NETWORKS[network.name].forward(network, size, channels, num_classes)
