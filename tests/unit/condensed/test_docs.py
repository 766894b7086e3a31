"""docs/condensed-sets.md says of the layouts what the list of them says, and names codes that there are."""

import re
from pathlib import Path

from core.condensed.published.layouts import LAYOUTS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "condensed-sets.md").read_text(encoding="utf-8")


def test_every_layout_has_its_row() -> None:
    for one in LAYOUTS.values():
        row = f"| {one.letter}: {one.name} | {one.files} |"
        if one.refusal is None:
            row += f" {one.made_by} | {one.space} |"
        assert row in PAGE


def test_the_codes_are_those_of_the_code() -> None:
    published = (ROOT / "core" / "condensed" / "published").glob("*.py")
    sources = [*published, ROOT / "core" / "data" / "limits.py"]
    code = "".join(path.read_text(encoding="utf-8") for path in sources)
    in_tables = [line for line in PAGE.splitlines() if line.startswith("| `")]
    named = {name for line in in_tables for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert len(named) >= 25
    # A code that is put together from a space is written so: f"looks_{space}".
    assert [one for one in named if f'"{one}"' not in code and not one.startswith("looks_")] == []
