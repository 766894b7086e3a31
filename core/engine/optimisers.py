"""The optimiser that a protocol trains with."""

from collections.abc import Iterable

from torch import Tensor

from core.engine.adamw import AdamW
from core.engine.protocols.protocol import EvaluationProtocol
from core.engine.sgd import SGD


def optimiser_of(protocol: EvaluationProtocol, parameters: Iterable[Tensor]) -> SGD | AdamW:
    """At rest, of these parameters."""
    if protocol.optimiser == "adamw":
        return AdamW(parameters, lr=protocol.lr, weight_decay=protocol.weight_decay)
    return SGD(parameters, lr=protocol.lr, momentum=protocol.momentum, weight_decay=protocol.weight_decay)
