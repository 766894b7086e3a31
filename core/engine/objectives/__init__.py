"""The objectives by name: torch-free. To add one: a file of its own, and its line here.

`objective.py` says what one is, and loads it.
"""

from collections.abc import Mapping

OBJECTIVES: Mapping[str, str] = {
    "mean": "core.engine.objectives.mean:Mean",
    "covariance": "core.engine.objectives.covariance:Covariance",
    "attention": "core.engine.objectives.attention:Attention",
    "characteristic": "core.engine.objectives.characteristic:Characteristic",
}
"""Each with its "module:class"."""
