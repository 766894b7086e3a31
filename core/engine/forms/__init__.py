"""The forms by name: torch-free. To add one: a file of its own, and its line here.

`form.py` says what one is, and loads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FormEntry:
    """path: "module:class". factor: f, where a stored image turns into f²."""

    path: str
    factor: int


FORMS: Mapping[str, FormEntry] = {
    "pixels": FormEntry(path="core.engine.forms.pixels:Pixels", factor=1),
    "collage-2": FormEntry(path="core.engine.forms.collage:Collage", factor=2),
    "collage-3": FormEntry(path="core.engine.forms.collage:Collage", factor=3),
}
