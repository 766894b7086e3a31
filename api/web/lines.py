"""How plots draw the means of baselines: a pattern each, in the order of the table of methods."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from core.trials.methods import BASELINES


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """`dashes` as `stroke-dasharray` has them; `words` are for a legend."""

    dashes: str
    words: str
    width: int = 1


_PATTERNS: Final = (
    Pattern(dashes="5 4", words="dashed"),
    Pattern(dashes="8 2 1 2", words="dashes and dots"),
    Pattern(dashes="8 2 1 2 1 2", words="dashes and two dots"),
    Pattern(dashes="1 3", words="dotted", width=2),
    Pattern(dashes="12 4", words="long dashes"),
)

#: Every baseline has a line of its own in plots.
LINES: Final[Mapping[str, Pattern]] = dict(zip(BASELINES, _PATTERNS, strict=False))
