"""The kinds of work: a line each."""

from collections.abc import Mapping
from typing import Final

from core.kinds.condense import CONDENSE
from core.kinds.evaluate import EVALUATE
from core.kinds.kind import Kind

KINDS: Final[Mapping[str, Kind]] = {one.name: one for one in (CONDENSE, EVALUATE)}
DEFAULT: Final = CONDENSE.name
