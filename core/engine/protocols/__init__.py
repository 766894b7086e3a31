"""The evaluation protocols by name: torch-free. To add one: a file of its own, and its line here."""

from collections.abc import Mapping

from core.engine.protocols.adamw import ADAMW
from core.engine.protocols.long import LONG
from core.engine.protocols.paper import PAPER
from core.engine.protocols.protocol import EvaluationProtocol

PROTOCOLS: Mapping[str, EvaluationProtocol] = {
    "paper": PAPER,
    "long": LONG,
    "adamw": ADAMW,
}


def fitting(network: str, norm: str | None) -> str:
    """The name of the one that does not starve this network on few images."""
    return "adamw" if norm == "batch" or network.startswith("resnet") else "long"
