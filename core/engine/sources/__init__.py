"""The sources of networks by name: torch-free. To add one: a file of its own, and its line here.

`source.py` says what one is, and loads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SourceEntry:
    """path: "module:class". needs_pool: whether it takes networks trained on the real set.

    is_expert: whether an iteration's network is its expert, too, so that images pass through one alone.
    """

    path: str
    needs_pool: bool = False
    is_expert: bool = False


SOURCES: Mapping[str, SourceEntry] = {
    "fresh": SourceEntry(path="core.engine.sources.fresh:Fresh"),
    "interpolation": SourceEntry(path="core.engine.sources.interpolation:Interpolation", needs_pool=True),
    "trajectory": SourceEntry(
        path="core.engine.sources.trajectory:Trajectory", needs_pool=True, is_expert=True
    ),
}
