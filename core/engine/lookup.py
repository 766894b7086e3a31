"""Loads what a table names, when it is first asked for: so that the tables can be read without torch."""

from importlib import import_module
from typing import Any


def load(path: str) -> Any:
    """The attribute that "package.module:attribute" names."""
    module, _, attribute = path.partition(":")
    return getattr(import_module(module), attribute)
