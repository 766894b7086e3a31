"""The evaluation protocols by name: torch-free. To add one: a file of its own, and its line here."""

from collections.abc import Mapping

from core.engine.protocols.paper import PAPER
from core.engine.protocols.protocol import EvaluationProtocol

PROTOCOLS: Mapping[str, EvaluationProtocol] = {
    "paper": PAPER,
}
