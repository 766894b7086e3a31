"""The forms by name: torch-free. To add one: a file of its own, and its line here.

`form.py` says what one is, and loads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FormEntry:
    """path: "module:class". decoded: how many images a stored one turns into."""

    path: str
    decoded: int


FORMS: Mapping[str, FormEntry] = {
    "pixels": FormEntry(path="core.engine.forms.pixels:Pixels", decoded=1),
}
