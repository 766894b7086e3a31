"""The objectives by name: torch-free. To add one: a file of its own, and its line here.

`objective.py` says what one is, and loads it.
"""

from collections.abc import Mapping

OBJECTIVES: Mapping[str, str] = {
    "mean": "core.engine.objectives.mean:Mean",
}
"""Each with its "module:class"."""
