"""The sources of networks by name: torch-free. To add one: a file of its own, and its line here.

`source.py` says what one is, and loads it.
"""

from collections.abc import Mapping

SOURCES: Mapping[str, str] = {
    "fresh": "core.engine.sources.fresh:Fresh",
}
"""Each with its "module:class"."""
