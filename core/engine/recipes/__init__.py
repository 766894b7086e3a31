"""The recipes by name: torch-free. To add one: a file of its own, and its line here."""

from collections.abc import Mapping

from core.engine.recipes.dance import DANCE
from core.engine.recipes.dance_short import DANCE_SHORT
from core.engine.recipes.dm import DM
from core.engine.recipes.fast import FAST
from core.engine.recipes.recipe import Recipe

RECIPES: Mapping[str, Recipe] = {
    "dm": DM,
    "fast": FAST,
    "dance": DANCE,
    "dance-short": DANCE_SHORT,
}
