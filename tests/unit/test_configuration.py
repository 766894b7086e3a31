"""The table of settings is the settings': `python -m tests.unit.test_configuration` rewrites it."""

import re
from pathlib import Path

from pydantic_core import PydanticUndefined

from core.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
_TABLE = re.compile(r"(\| variable \| default \| meaning \|\n\|---\|---\|---\|\n).*?\n\n", re.DOTALL)


def table() -> str:
    rows = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, PydanticUndefined) else f"`{field.default}`"
        rows.append(f"| `CONDENSERY_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def with_table(page: str) -> str:
    found = _TABLE.subn(lambda match: match.group(1) + table() + "\n\n", page)
    assert found[1] == 1, "there is no table of settings"
    return found[0]


def test_every_setting_is_listed_with_its_default() -> None:
    page = PAGE.read_text()
    assert page == with_table(page)


def test_every_setting_says_what_it_means() -> None:
    assert all(field.description for field in Settings.model_fields.values())


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
